import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** What Envoy knows of a client certificate. */
export interface ClientCertificate {
  readonly commonName: string;
  readonly organizations: readonly string[];
  /** The whole subject, RFC 2253. */
  readonly subject: string;
  readonly noSubject?: boolean;
  /** Unix seconds; absent where Envoy knows none. */
  readonly notBefore?: number;
  readonly notAfter?: number;
}

/** A request as it reaches the filter. */
export interface FilterRequest {
  readonly script: string;
  readonly headers: readonly (readonly [string, string])[];
  /** Empty: the client sent none. */
  readonly sni: string;
  /** The name of the route that was found; empty: none. */
  readonly routeName: string;
  /** It did not come by TLS. */
  readonly plain?: boolean;
  readonly certificate?: ClientCertificate;
  /** Unix seconds. */
  readonly now: number;
  /** The name of a method of Envoy's that fails. */
  readonly breaks?: string;
}

/** What the filter made of a request. */
export interface FilterResult {
  /** The request's headers, in the order in which they go on. */
  readonly headers: readonly (readonly [string, string])[];
  /** The answer, in which case the request does not go on. */
  readonly response?: { readonly headers: Readonly<Record<string, string>>; readonly body: string };
  readonly logs: readonly string[];
  /** An error that the script did not handle: Envoy lets such a request go on, or refuses the script when it loads. */
  readonly error?: string;
}

/** Runs scripts with Lua 5.1's semantics behind a likeness of Envoy's request handle; see `go/main.go`. */
export interface EnvoyLua {
  run(requests: readonly FilterRequest[]): readonly FilterResult[];
  close(): void;
}

function check(command: string, { status, error, stderr }: ReturnType<typeof spawnSync>): void {
  if (error !== undefined) throw new Error(`${command} could not be run`, { cause: error });
  if (status !== 0) throw new Error(`${command} failed: ${String(stderr)}`);
}

/** Builds the runner, which takes Go some seconds the first time. */
export function buildEnvoyLua(): EnvoyLua {
  const folder = mkdtempSync(join(tmpdir(), "fairlead-lua-"));
  const program = join(folder, "lua");
  const build = ["build", "-mod=readonly", "-buildvcs=false", `-o=${program}`, "."];
  check("go build", spawnSync("go", build, { cwd: join(__dirname, "go"), encoding: "utf8" }));
  return {
    run(requests) {
      const input = requests.map((request) => `${JSON.stringify(request)}\n`).join("");
      const ended = spawnSync(program, { input, encoding: "utf8", maxBuffer: 256 * 1024 * 1024 });
      check("the Lua runner", ended);
      return ended.stdout
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line) as FilterResult);
    },
    close() {
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
