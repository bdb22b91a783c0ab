import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { PROCESS_ENVIRONMENT } from "../../deploy/objects/processes";
import { defaultValues } from "../../deploy/values";
import { probe } from "../cluster/http-probe";
import { usageOf } from "../cluster/processes";
import type { Watchdog } from "../cluster/watchdog";

/** How a process of the built module is started. */
export interface ProcessOptions {
  readonly mode: "admission" | "watch";
  readonly modulePath: string;
  readonly kubeconfigPath: string;
  readonly port: number;
  readonly apiPath: string;
  readonly certificatePath: string;
  readonly privateKeyPath: string;
  readonly caPem: string;
  readonly logPath: string;
  /** Ends the process once this one is gone, whatever the way. */
  readonly watchdog: Watchdog;
  readonly env?: Readonly<Record<string, string>>;
  /** A command that runs it in another place, a network namespace; its port must lead there from 127.0.0.1 here. */
  readonly within?: readonly string[];
  /** Of node, before the module. */
  readonly nodeArgs?: readonly string[] | undefined;
}

/** A process of the built module, as in production but without a container. */
export interface FairleadProcess {
  readonly mode: "admission" | "watch";
  readonly port: number;
  readonly logPath: string;
  readonly pid: number;
  /** Resident memory, in bytes; 0 when it is not running. */
  rssBytes(): number;
  isRunning(): boolean;
  start(): Promise<void>;
  /** Ends it; SIGKILL is the default, since nobody may rely on more. */
  stop(signal?: NodeJS.Signals): Promise<void>;
}

const READY_TIMEOUT_MS = 60_000;

// To enter a mount namespace is to leave the working directory.
function commandOf({ modulePath, within, nodeArgs = [] }: ProcessOptions): readonly string[] {
  const command = [process.execPath, ...nodeArgs, modulePath];
  if (within === undefined) return command;
  return [...within, "sh", "-c", 'cd "$0" && exec "$@"', process.cwd(), ...command];
}

class ModuleProcess implements FairleadProcess {
  #child: ChildProcess | undefined;

  constructor(private readonly options: ProcessOptions) {}

  get mode() {
    return this.options.mode;
  }
  get port() {
    return this.options.port;
  }
  get logPath() {
    return this.options.logPath;
  }
  get pid() {
    return this.#child?.pid ?? 0;
  }

  isRunning(): boolean {
    return (
      this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null
    );
  }

  rssBytes(): number {
    return this.isRunning() ? usageOf(this.pid).residentBytes : 0;
  }

  async start(): Promise<void> {
    const { options } = this;
    // Not by way of this process, which would have work with each line.
    const log = openSync(options.logPath, "a");
    const [program = "", ...args] = commandOf(options);
    const child = spawn(program, args, {
      env: {
        PATH: process.env.PATH,
        HOME: process.env.HOME,
        NODE_ENV: "production",
        KUBECONFIG: options.kubeconfigPath,
        PEPR_WATCH_MODE: options.mode === "watch" ? "true" : "false",
        PEPR_API_PATH: options.apiPath,
        SSL_CERT_PATH: options.certificatePath,
        SSL_KEY_PATH: options.privateKeyPath,
        FAIRLEAD_PORT: String(options.port),
        LOG_LEVEL: "info",
        NODE_OPTIONS: defaultValues("")[options.mode].nodeOptions,
        ...PROCESS_ENVIRONMENT,
        ...options.env,
      },
      stdio: ["ignore", log, log],
      // In a group of its own, for the watchdog; Ctrl-C reaches it through whoever started it.
      detached: true,
    });
    closeSync(log);
    const { pid } = child;
    if (pid !== undefined) {
      options.watchdog.guard(pid);
      child.once("exit", () => {
        options.watchdog.release(pid);
      });
    }
    this.#child = child;
    await this.#untilReady();
  }

  async stop(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    const child = this.#child;
    if (child === undefined || !this.isRunning()) return;
    const exited = new Promise((resolve) => child.once("exit", resolve));
    child.kill(signal);
    await exited;
  }

  async #untilReady(): Promise<void> {
    const limitMs = Date.now() + READY_TIMEOUT_MS;
    for (;;) {
      const { status } = await probe(`https://127.0.0.1:${this.port}/healthz`, {
        caPem: this.options.caPem,
      });
      if (status === 200) return;
      if (!this.isRunning() || Date.now() > limitMs) {
        await this.stop();
        const lines = readFileSync(this.logPath, "utf8")
          .trimEnd()
          .split("\n")
          .slice(-20)
          .join("\n");
        throw new Error(`fairlead's ${this.mode} process did not become ready:\n${lines}`);
      }
      await sleep(50);
    }
  }
}

/** Prepares a process; `start` starts it. */
export function fairleadProcess(options: ProcessOptions): FairleadProcess {
  return new ModuleProcess(options);
}
