import { writeFile } from "node:fs/promises";
import { get } from "node:http";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { launch, type ChildProgram } from "../cluster/child-program";
import type { Watchdog } from "../cluster/watchdog";

/** What an Envoy is started with. */
export interface EnvoyStart {
  readonly program: string;
  /** A bootstrap configuration, with an admin server on this port of 127.0.0.1. */
  readonly bootstrap: unknown;
  readonly adminPort: number;
  readonly directory: string;
  readonly watchdog: Watchdog;
}

async function readState(adminPort: number): Promise<string> {
  return new Promise((resolve, reject) => {
    get({ host: "127.0.0.1", port: adminPort, path: "/ready" }, (response) => {
      let text = "";
      response.on("data", (chunk: Buffer) => (text += chunk.toString()));
      response.on("end", () => {
        resolve(text.trim());
      });
    }).on("error", reject);
  });
}

/**
 * Starts an Envoy and waits until it is live.
 * @throws Error when it ends before that; its log, which the error names, says why.
 */
export async function startEnvoy(start: EnvoyStart): Promise<ChildProgram> {
  const { program, adminPort, directory, watchdog } = start;
  const file = join(directory, `envoy-${adminPort}.json`);
  await writeFile(file, JSON.stringify(start.bootstrap), { mode: 0o600 });
  const logPath = join(directory, `envoy-${adminPort}.log`);
  const envoy = await launch({
    program,
    // What Envoy does not know is an error here, where a gateway would ignore it.
    args: [
      ...["-c", file, "--concurrency", "1", "--use-dynamic-base-id"],
      ...["--reject-unknown-dynamic-fields", "-l", "warning"],
    ],
    logPath,
    directory,
    watchdog,
  });
  for (;;) {
    if ((await readState(adminPort).catch(() => "")) === "LIVE") return envoy;
    const ending = envoy.ending();
    if (ending !== undefined) throw new Error(`Envoy ended (${ending}); see ${logPath}`);
    await sleep(50);
  }
}
