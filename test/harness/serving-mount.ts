import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Api } from "./api";
import { decode } from "./objects";

/** A Secret, mounted as a kubelet does it: files that are links into a folder, which is replaced as a whole. */
export interface ServingMount {
  readonly certificatePath: string;
  readonly privateKeyPath: string;
  /** Brings what the Secret holds at once, as when a Pod starts. */
  bring(): Promise<void>;
  stop(): void;
}

const secretRef = { kind: "Secret", namespace: "pepr-system", name: "pepr-fairlead-tls" } as const;
const LOOK_MS = 250;

/** Mounts fairlead's serving Secret. What changes in it comes here `lagMs` later; a kubelet takes up to two minutes. */
export function mountServing(
  api: Api,
  { folder, lagMs }: { readonly folder: string; readonly lagMs: number },
): ServingMount {
  mkdirSync(folder, { recursive: true });
  let mounted = "";
  let generation = 0;
  let isStopped = false;
  const write = (version: string, contents: Readonly<Record<string, string>>): void => {
    generation += 1;
    const data = join(folder, `..${generation}`);
    mkdirSync(data);
    for (const [name, text] of Object.entries(contents)) {
      writeFileSync(join(data, name), text, { mode: 0o600 });
    }
    symlinkSync(`..${generation}`, join(folder, "..new"));
    renameSync(join(folder, "..new"), join(folder, "..data"));
    rmSync(join(folder, `..${generation - 1}`), { recursive: true, force: true });
    mounted = version;
  };
  const bring = async (afterMs: number): Promise<void> => {
    const secret = await api.find(secretRef);
    const version = secret?.metadata.resourceVersion ?? "";
    if (secret === undefined || version === mounted) return;
    await sleep(afterMs);
    if (!isStopped) write(version, decode(secret));
  };
  const go = async (): Promise<void> => {
    while (!isStopped) {
      // The API server may be away for a while.
      await bring(lagMs).catch(() => undefined);
      await sleep(LOOK_MS);
    }
  };
  void go();
  return {
    certificatePath: join(folder, "..data", "tls.crt"),
    privateKeyPath: join(folder, "..data", "tls.key"),
    bring: async () => bring(0),
    stop() {
      isStopped = true;
    },
  };
}
