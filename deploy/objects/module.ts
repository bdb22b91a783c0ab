import { createHash } from "node:crypto";
import { brotliCompressSync, constants } from "node:zlib";
import { systemMeta } from "../names";
import type { Entry, Template } from "../template";

/** Where a container finds the module and its launcher. */
export const MODULE_FOLDER = "/fairlead";
/** The launcher's file there. */
export const LAUNCHER = "launch.cjs";

/**
 * Bytes of the compressed module in one ConfigMap: `kubectl apply` keeps a copy of an object, in base64, in an annotation
 * of at most 256 KiB.
 */
const PART_BYTES = 150_000;

/** The module as it travels: compressed, in parts. */
export interface PackedModule {
  /** Of the module itself, in hex; the launcher checks it. */
  readonly sha256: string;
  /** File name → content. The launcher puts the parts together in the order of their names. */
  readonly parts: readonly { readonly file: string; readonly content: Buffer }[];
  /** The launcher's source. */
  readonly launcher: string;
}

/** Compresses a module and takes it to parts. */
export function packModule(source: Buffer, launcher: string): PackedModule {
  const packed = brotliCompressSync(source, {
    params: {
      [constants.BROTLI_PARAM_MODE]: constants.BROTLI_MODE_TEXT,
      [constants.BROTLI_PARAM_SIZE_HINT]: source.length,
    },
  });
  const count = Math.ceil(packed.length / PART_BYTES);
  return {
    sha256: createHash("sha256").update(source).digest("hex"),
    parts: Array.from({ length: count }, (_, index) => ({
      file: `module.br.${String(index).padStart(2, "0")}`,
      content: packed.subarray(index * PART_BYTES, (index + 1) * PART_BYTES),
    })),
    launcher,
  };
}

/** Another build is another name, so a Pod of the last rollout that starts again finds what it was made for. */
function nameOf({ sha256, launcher }: PackedModule, part: string): string {
  const hash = createHash("sha256").update(sha256).update(launcher).digest("hex").slice(0, 10);
  return `fairlead-module-${hash}-${part}`;
}

const LAUNCHER_PART = "launcher";

/** The ConfigMaps that hold the module and its launcher. */
export function moduleEntries(module: PackedModule): readonly Entry[] {
  const configMap = (part: string, content: Template): Entry => ({
    object: {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: systemMeta(nameOf(module, part)),
      immutable: true,
      ...content,
    },
  });
  return [
    configMap(LAUNCHER_PART, { data: { [LAUNCHER]: module.launcher } }),
    ...module.parts.map(({ file, content }, index) =>
      configMap(String(index), { binaryData: { [file]: content.toString("base64") } }),
    ),
  ];
}

/** The volume that puts them together. */
export function moduleVolume(module: PackedModule): Template {
  const names = [LAUNCHER_PART, ...module.parts.map((_, index) => String(index))];
  return {
    name: "module",
    projected: {
      sources: names.map((part) => ({ configMap: { name: nameOf(module, part) } })),
    },
  };
}
