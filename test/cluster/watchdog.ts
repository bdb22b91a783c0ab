import { spawn } from "node:child_process";
import { Socket } from "node:net";

// A shell that outlives this process by a moment. Its input ends when this process ends, whatever
// the way (exit, exception, signal, SIGKILL): then it ends what is still guarded. A shell is on
// every machine; parent-death signals are not, and would leave the directories behind.
const script = `
processes=" "
directory=""
while read -r verb value; do
  case "$verb" in
    guard) processes="$processes$value " ;;
    release) processes=$(printf '%s' "$processes" | sed "s/ $value / /") ;;
    remove) directory="$value" ;;
  esac
done
for process in $processes; do kill -KILL "-$process" 2>/dev/null; done
if [ -n "$directory" ]; then
  rm -rf "$directory" || { sleep 1; rm -rf "$directory"; }
fi
`;

/** Ends processes and removes a directory once this process is gone or the watchdog is closed. */
export interface Watchdog {
  /** Takes charge of a process that leads its own process group. */
  guard(pid: number): void;
  /** Forgets a process that has ended, since its id may be given to another one. */
  release(pid: number): void;
  /** The leaders of what is guarded now. */
  guarded(): readonly number[];
  /** Ends all that is guarded, removes the directory, and resolves when that is done. */
  close(): Promise<void>;
}

/**
 * Starts a watchdog that owns `directory` (absolute): it is removed at the end.
 * Does not keep this process alive.
 */
export function startWatchdog(directory: string): Watchdog {
  if (directory.includes("\n")) throw new Error("A directory's name cannot have a line break.");
  // Detached: Ctrl-C in a terminal goes to the whole process group, and must not end it.
  const shell = spawn("/bin/sh", ["-c", script], {
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
    cwd: "/",
  });
  const ended = new Promise<void>((resolve, reject) => {
    shell.once("exit", () => {
      resolve();
    });
    shell.once("error", reject);
  });
  // Whoever closes it sees the error; nobody else has to.
  ended.catch(() => undefined);
  shell.stdin.on("error", () => undefined);
  shell.unref();
  if (shell.stdin instanceof Socket) shell.stdin.unref();
  const send = (verb: string, value: string | number) => shell.stdin.write(`${verb} ${value}\n`);
  send("remove", directory);
  const guarded = new Set<number>();
  return {
    guard: (pid) => {
      guarded.add(pid);
      send("guard", pid);
    },
    release: (pid) => {
      guarded.delete(pid);
      send("release", pid);
    },
    guarded: () => [...guarded],
    async close() {
      shell.ref();
      shell.stdin.end();
      await ended;
    },
  };
}
