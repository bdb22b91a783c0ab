import { chmod, chown, mkdir, readlink, rename, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import {
  type DataObject,
  fieldOf,
  type KeyToPath,
  MissingSourceError,
  type Pod,
  type PodSources,
  type ProjectedSource,
  type Volume,
} from "./pod";

/** A file of a volume. */
export interface VolumeFile {
  readonly content: Buffer;
  readonly mode: number;
  /** Whose it is where the Pod has no group for its volumes. */
  readonly owner: "root" | "user";
}

/** Path in the volume → file. */
export type VolumeFiles = Readonly<Record<string, VolumeFile>>;

/** Whose volume it is. */
export interface VolumeRequest {
  readonly pod: Pod;
  readonly volume: Volume;
  readonly podIP: string;
  readonly sources: PodSources;
}

const DEFAULT_MODE = 0o644;
const TOKEN_MODE = 0o600;

interface Selection {
  readonly kind: "configMap" | "secret";
  readonly name: string;
  readonly optional?: boolean | undefined;
  readonly items?: readonly KeyToPath[] | undefined;
  readonly mode: number;
}

function contentsOf(kind: Selection["kind"], object: DataObject): Readonly<Record<string, Buffer>> {
  const encoding = kind === "secret" ? "base64" : "utf8";
  const entries = [
    ...Object.entries(object.data ?? {}).map(([key, text]) => [key, text, encoding] as const),
    ...Object.entries(object.binaryData ?? {}).map(([key, text]) => [key, text, "base64"] as const),
  ];
  return Object.fromEntries(entries.map(([key, text, how]) => [key, Buffer.from(text, how)]));
}

function filesOf(sources: PodSources, selection: Selection): VolumeFiles {
  const { kind, name, optional, items, mode } = selection;
  const object = sources[kind](name);
  if (object === undefined) {
    if (optional === true) return {};
    throw new MissingSourceError(`${kind} "${name}" not found`);
  }
  const contents = contentsOf(kind, object);
  const wanted: readonly KeyToPath[] =
    items ?? Object.keys(contents).map((key) => ({ key, path: key }));
  const files = wanted.flatMap(({ key, path, mode: ownMode }) => {
    const content = contents[key];
    if (content !== undefined)
      return [[path, { content, mode: ownMode ?? mode, owner: "root" }] as const];
    if (optional === true) return [];
    throw new MissingSourceError(`${kind} "${name}" references non-existent key: ${key}`);
  });
  return Object.fromEntries(files);
}

function projected(request: VolumeRequest, source: ProjectedSource, mode: number): VolumeFiles {
  const { configMap, secret, serviceAccountToken, downwardAPI } = source;
  const { sources, pod, podIP } = request;
  if (configMap !== undefined) return filesOf(sources, { kind: "configMap", ...configMap, mode });
  if (secret !== undefined) return filesOf(sources, { kind: "secret", ...secret, mode });
  if (serviceAccountToken !== undefined) {
    const { path, audience = "" } = serviceAccountToken;
    const token = sources.token(audience);
    if (token === undefined) throw new MissingSourceError("no token yet");
    return { [path]: { content: Buffer.from(token), mode: TOKEN_MODE, owner: "user" } };
  }
  const items = downwardAPI?.items ?? [];
  return Object.fromEntries(
    items.map(({ path, fieldRef }) => {
      const content = Buffer.from(fieldOf(pod, fieldRef?.fieldPath ?? "", podIP));
      return [path, { content, mode, owner: "root" } as const];
    }),
  );
}

/**
 * The files of a volume.
 * @throws {MissingSourceError} for a source that is not there and not optional, and for kinds that are not played.
 */
export function volumeFiles(request: VolumeRequest): VolumeFiles {
  const { volume, sources } = request;
  if (volume.configMap !== undefined) {
    const mode = volume.configMap.defaultMode ?? DEFAULT_MODE;
    return filesOf(sources, { kind: "configMap", ...volume.configMap, mode });
  }
  if (volume.secret !== undefined) {
    const { secretName: name, defaultMode: mode = DEFAULT_MODE, ...rest } = volume.secret;
    return filesOf(sources, { kind: "secret", name, mode, ...rest });
  }
  if (volume.projected !== undefined) {
    const mode = volume.projected.defaultMode ?? DEFAULT_MODE;
    const parts = volume.projected.sources.map((source) => projected(request, source, mode));
    return Object.assign({}, ...parts) as VolumeFiles;
  }
  throw new MissingSourceError(`volume ${volume.name} is of a kind that is not played`);
}

/** Who reads a volume's files. */
export interface VolumeReader {
  readonly userId: number;
  /** The Pod's fsGroup. */
  readonly groupId: number | undefined;
}

/**
 * Writes a volume as a kubelet does: files are links into a folder, which is replaced as a whole.
 * @see https://kubernetes.io/docs/concepts/storage/volumes/#configmap
 */
export async function writeVolume(
  folder: string,
  files: VolumeFiles,
  reader: VolumeReader,
): Promise<void> {
  const before = await readlink(join(folder, "..data")).catch(() => undefined);
  const version = `..${before === undefined ? 1 : Number(before.slice(2)) + 1}`;
  for (const [path, file] of Object.entries(files)) {
    const target = join(folder, version, path);
    await mkdir(dirname(target), { recursive: true, mode: 0o755 });
    await writeFile(target, file.content);
    await grant(target, file, reader);
  }
  await mkdir(join(folder, version), { recursive: true, mode: 0o755 });
  await symlink(version, join(folder, "..new"));
  await rename(join(folder, "..new"), join(folder, "..data"));
  for (const path of Object.keys(files)) {
    const [first = path] = path.split("/");
    await symlink(join("..data", first), join(folder, first)).catch(ignoreExisting);
  }
  if (before !== undefined) await rm(join(folder, before), { recursive: true, force: true });
}

// What its owner may read, the Pod's group may read too, where it has one.
async function grant(path: string, file: VolumeFile, reader: VolumeReader): Promise<void> {
  const { userId, groupId } = reader;
  const isUsers = file.owner === "user" && groupId === undefined;
  await chown(path, isUsers ? userId : 0, groupId ?? (isUsers ? userId : 0));
  await chmod(path, groupId === undefined ? file.mode : file.mode | 0o440);
}

function ignoreExisting(error: NodeJS.ErrnoException): void {
  if (error.code !== "EEXIST") throw error;
}
