import { spawn, type ChildProcess } from "node:child_process";
import {
  createWriteStream,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { startWatchdog, type Watchdog } from "./watchdog";

/** A container as it is run here: node on a root file system that holds nothing but what is mounted. */
export interface ContainerRequest {
  /** For files of its own; removed at the end. */
  readonly directory: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly workingDir: string;
  readonly userId: number;
  /** Where in the container → what is mounted there, read-only. */
  readonly mounts: Readonly<Record<string, string>>;
  /** Default: read-only; where it is writable, the working directory is the user's. */
  readonly root?: "read-only" | "writable";
  /** A command that runs it in another place, such as a Pod's network namespace. */
  readonly within?: readonly string[];
}

/** A container that was started. */
export interface Container {
  /** What it has written. */
  log(): string;
  isRunning(): boolean;
  /** The id of the program here; in its own namespace it is process 1. Undefined when it does not run. */
  programId(): number | undefined;
  /** The exit code of the program, once it has ended; as of a shell, for a signal. */
  readonly ended: Promise<number | null>;
  stop(): Promise<void>;
}

const NODE = "/usr/bin/node";

// The root is a tmpfs with bind mounts, made read-only at the end. The program is process 1 of a PID namespace.
const script = `
set -e
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs "$ROOT"
bind() {
  if [ -d "$1" ]; then mkdir -p "$ROOT$2"; else mkdir -p "$(dirname "$ROOT$2")"; touch "$ROOT$2"; fi
  mount --bind "$1" "$ROOT$2"
  mount -o remount,bind,ro "$ROOT$2"
}
for library in /lib /lib64 /usr/lib; do if [ -e "$library" ]; then bind "$library" "$library"; fi; done
bind "$NODE_PROGRAM" ${NODE}
mkdir -p "$ROOT/dev" "$ROOT/proc" "$ROOT/tmp" "$ROOT$WORKING_DIR"
mount --rbind /dev "$ROOT/dev"
printf '%s\\n' "$MOUNTS" | while read -r source target; do bind "$source" "$target"; done
if [ "$ROOT_MODE" = writable ]; then chown "$USER_ID:$USER_ID" "$ROOT$WORKING_DIR"; else mount -o remount,ro "$ROOT"; fi
exec "$@"
`;

function isAlive(child: ChildProcess): boolean {
  return child.exitCode === null && child.signalCode === null;
}

/** The one child of a process: the program behind unshare. */
function childOf(pid: number): number | undefined {
  const path = `/proc/${pid}/task/${pid}/children`;
  const [child] = existsSync(path) ? readFileSync(path, "utf8").trim().split(" ") : [];
  return child === undefined || child === "" ? undefined : Number(child);
}

function guard(watchdog: Watchdog, child: ChildProcess): void {
  const { pid } = child;
  if (pid === undefined) return;
  watchdog.guard(pid);
  child.once("exit", () => {
    watchdog.release(pid);
  });
}

/** The program as process 1 of a PID namespace, with its user, folder and environment. */
function commandOf(
  { env, workingDir, userId, args }: ContainerRequest,
  root: string,
): readonly string[] {
  const assignments = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  const within = ["--pid", "--fork", "--kill-child", "--mount-proc=/proc", `--root=${root}`];
  const as = [`--wd=${workingDir}`, `--setgid=${userId}`, `--setuid=${userId}`];
  return ["env", "-i", ...assignments, "unshare", ...within, ...as, NODE, ...args];
}

/** Starts a container. It needs root, or what root may. */
export function startContainer(request: ContainerRequest): Container {
  const { directory, mounts } = request;
  mkdirSync(directory, { recursive: true });
  const root = mkdtempSync(join(directory, "root-"));
  const logPath = join(directory, "log");
  // Of all its runs: a container that ended is started again.
  writeFileSync(logPath, "", { flag: "a" });
  const log = createWriteStream(logPath, { flags: "a" });
  const own = ["unshare", "--mount", "sh", "-c", script, "sh", ...commandOf(request, root)];
  const [program = "", ...args] = [...(request.within ?? []), ...own];
  const child = spawn(program, args, {
    env: {
      PATH: process.env.PATH,
      ROOT: root,
      ROOT_MODE: request.root ?? "read-only",
      NODE_PROGRAM: process.execPath,
      WORKING_DIR: request.workingDir,
      USER_ID: String(request.userId),
      MOUNTS: Object.entries(mounts)
        .map(([target, source]) => `${source} ${target}`)
        .join("\n"),
    },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  child.stdout.pipe(log, { end: false });
  child.stderr.pipe(log, { end: false });
  const watchdog = startWatchdog(root);
  guard(watchdog, child);
  const ended = new Promise<number | null>((resolve) => child.once("exit", resolve));
  return {
    log: () => readFileSync(logPath, "utf8"),
    isRunning: () => isAlive(child),
    programId: () => (child.pid === undefined ? undefined : childOf(child.pid)),
    ended,
    async stop() {
      if (isAlive(child)) {
        // The group: a program that has changed its user does not die with its parent.
        if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
        await ended;
      }
      await watchdog.close();
    },
  };
}
