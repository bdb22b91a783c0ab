import { type ChildProcess, spawn } from "node:child_process";
import { copyFileSync, createWriteStream, existsSync, mkdirSync, readFileSync } from "node:fs";
import { request } from "node:https";
import { basename, join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseAllDocuments } from "yaml";
import { findFreePort } from "../cluster/ports";
import { startWatchdog, type Watchdog } from "../cluster/watchdog";
import type { AnyObject, Api } from "./api";
import { writeModule } from "./module-folder";
import { ownAddress } from "./own-address";
import { mountServing, type ServingMount } from "./serving-mount";
import { setStage, type Stage } from "./stage";

// fairlead as `npx pepr deploy` installs it, as far as the webhook goes: the objects are those of Pepr's manifest, the
// webhook is called by its Service, and every process has a mount of the serving Secret of its own.

/** A process that serves with a mounted certificate. */
export interface ServingProcess {
  readonly mode: "admission" | "watch";
  readonly port: number;
  readonly logPath: string;
  isRunning(): boolean;
  /** Starts it, with what the Secret holds now, and waits until it answers; an admission replica is called then. */
  start(): Promise<void>;
  /** Starts it without waiting. */
  launch(): Promise<void>;
  untilReady(): Promise<void>;
  stop(signal?: NodeJS.Signals): Promise<void>;
  /** Stops it for good, and its mount with it. */
  close(): Promise<void>;
}

/** The stage, with two replicas and two watchers; nothing runs before it is started. */
export interface WebhookStage extends Stage {
  readonly replicas: readonly ServingProcess[];
  readonly watchers: readonly ServingProcess[];
  /** The objects of Pepr's manifest, by `<kind>/<name>`. */
  readonly manifest: ReadonlyMap<string, AnyObject>;
}

/** How the stage is set. */
export interface WebhookStageOptions {
  /** Of all processes, for settings. */
  readonly env: Readonly<Record<string, string>>;
  readonly version: string;
  /**
   * "module" (default): the module alone, as `npx pepr deploy` runs it, which ends at once. "manifest": the program of
   * the manifest's containers, which finishes what is under way when it is told to end.
   */
  readonly program?: "module" | "manifest";
  /** Created before there is a webhook, which refuses everything while nobody answers. */
  readonly objects: readonly object[];
}

const root = resolve(__dirname, "../..");
const distFolder = process.env.FAIRLEAD_DIST ?? join(root, "dist");
const modulePath = join(distFolder, "pepr-fairlead.js");
const manifestPath = join(distFolder, "pepr-module-fairlead.yaml");

const SYSTEM = "pepr-system";
const SERVICE = "pepr-fairlead";
const READY_TIMEOUT_MS = 90_000;
/** Kubelets are not equally fast: for a while one replica serves what another one does not. */
const LAGS_MS = [500, 7_000];

function readManifest(): ReadonlyMap<string, AnyObject> {
  if (!existsSync(manifestPath))
    throw new Error("dist/ holds no module; run `npm run build` first");
  const objects = parseAllDocuments(readFileSync(manifestPath, "utf8")).map(
    (document) => document.toJS() as AnyObject,
  );
  return new Map(objects.map((object) => [`${object.kind}/${object.metadata.name ?? ""}`, object]));
}

/** The status of /healthz; the certificate is not looked at. */
async function health(port: number): Promise<number> {
  return new Promise((settle) => {
    const asked = request(
      { host: "127.0.0.1", port, path: "/healthz", rejectUnauthorized: false, timeout: 2_000 },
      (response) => {
        response.resume();
        settle(response.statusCode ?? 0);
      },
    );
    asked.on("timeout", () => asked.destroy());
    asked.on("error", () => {
      settle(0);
    });
    asked.end();
  });
}

/** What a process is started with. */
interface ServingOptions {
  readonly mode: "admission" | "watch";
  readonly name: string;
  readonly port: number;
  readonly api: Api;
  readonly folder: string;
  readonly mount: ServingMount;
  readonly watchdog: Watchdog;
  readonly env: Readonly<Record<string, string>>;
  /** Of node. */
  readonly args: readonly string[];
}

class MountedProcess implements ServingProcess {
  #child: ChildProcess | undefined;
  constructor(private readonly options: ServingOptions) {}

  get mode() {
    return this.options.mode;
  }
  get port() {
    return this.options.port;
  }
  get logPath() {
    return join(this.options.folder, `${this.options.name}.log`);
  }

  isRunning(): boolean {
    const child = this.#child;
    return child !== undefined && child.exitCode === null && child.signalCode === null;
  }

  async start(): Promise<void> {
    await this.launch();
    await this.untilReady();
  }

  async launch(): Promise<void> {
    const { mount, watchdog, env, args } = this.options;
    await mount.bring();
    const log = createWriteStream(this.logPath, { flags: "a" });
    const child = spawn(process.execPath, args, {
      env: { PATH: process.env.PATH, HOME: process.env.HOME, NODE_ENV: "production", ...env },
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    });
    const { pid } = child;
    if (pid !== undefined) {
      watchdog.guard(pid);
      child.once("exit", () => {
        watchdog.release(pid);
      });
    }
    child.stdout.pipe(log, { end: false });
    child.stderr.pipe(log, { end: false });
    this.#child = child;
  }

  async untilReady(): Promise<void> {
    const limitMs = Date.now() + READY_TIMEOUT_MS;
    while ((await health(this.port)) !== 200) {
      if (!this.isRunning() || Date.now() > limitMs) {
        const lines = readFileSync(this.logPath, "utf8").trimEnd().split("\n").slice(-20);
        throw new Error(`${this.options.name} did not become ready:\n${lines.join("\n")}`);
      }
      await sleep(50);
    }
    await this.#publish(true);
  }

  async stop(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    await this.#publish(false);
    const child = this.#child;
    if (child === undefined || !this.isRunning()) return;
    const exited = new Promise((settle) => child.once("exit", settle));
    child.kill(signal);
    await exited;
  }

  async close(): Promise<void> {
    this.options.mount.stop();
    await this.stop();
  }

  /** What the endpoints controller would say of it. */
  async #publish(ready: boolean): Promise<void> {
    const { mode, name, port, api } = this.options;
    if (mode === "watch") return;
    const slice = {
      apiVersion: "discovery.k8s.io/v1",
      kind: "EndpointSlice",
      metadata: { name, namespace: SYSTEM, labels: { "kubernetes.io/service-name": SERVICE } },
      addressType: "IPv4",
      endpoints: [{ addresses: [ownAddress()], conditions: { ready } }],
      ports: [{ name: "", port, protocol: "TCP" }],
    };
    const ref = { kind: "EndpointSlice", namespace: SYSTEM, name } as const;
    if ((await api.find(ref)) === undefined) await api.create(slice);
    else await api.patch(ref, { endpoints: slice.endpoints });
  }
}

/** `FAIRLEAD_LOGS`: a folder in which the processes' logs are kept, to look into a failure. */
function keep(directory: string, processes: readonly ServingProcess[]): void {
  const folder = process.env.FAIRLEAD_LOGS;
  if (folder === undefined) return;
  const kept = join(folder, basename(directory));
  mkdirSync(kept, { recursive: true });
  for (const { logPath } of processes) {
    if (existsSync(logPath)) copyFileSync(logPath, join(kept, basename(logPath)));
  }
}

async function prepareProcesses(
  { cluster, api }: Stage,
  apiPath: string,
  { env, program = "module" }: Pick<WebhookStageOptions, "env" | "program">,
): Promise<readonly ServingProcess[]> {
  const folder = join(cluster.directory, "webhook");
  mkdirSync(folder, { recursive: true });
  const args = program === "module" ? [modulePath] : writeModule(join(folder, "module")).args;
  const watchdog = startWatchdog(folder);
  const prepare = async (mode: "admission" | "watch", index: number): Promise<ServingProcess> => {
    const name = `${mode}-${index}`;
    const port = await findFreePort();
    const mount = mountServing(api, { folder: join(folder, name), lagMs: LAGS_MS[index - 1] ?? 0 });
    const kubeconfig = await cluster.kubeconfigFor({
      name: `fairlead-${mode}`,
      groups: ["system:masters"],
    });
    return new MountedProcess({
      mode,
      name,
      port,
      api,
      folder,
      mount,
      watchdog,
      args,
      env: {
        KUBECONFIG: kubeconfig,
        PEPR_WATCH_MODE: String(mode === "watch"),
        PEPR_API_PATH: apiPath,
        SSL_CERT_PATH: mount.certificatePath,
        SSL_KEY_PATH: mount.privateKeyPath,
        FAIRLEAD_PORT: String(port),
        LOG_LEVEL: "info",
        ...env,
      },
    });
  };
  return Promise.all(
    (["admission", "watch"] as const).flatMap((mode) => [prepare(mode, 1), prepare(mode, 2)]),
  );
}

/** Sets the stage: a cluster with the webhook, its Service and its Secrets, and processes that are not started yet. */
export async function setWebhookStage({
  env,
  version,
  objects,
  program,
}: WebhookStageOptions): Promise<WebhookStage> {
  const manifest = readManifest();
  const stage = await setStage({
    version,
    objects,
    // The API server calls a Service at its endpoints, since there is no kube-proxy.
    apiServerFlags: ["--enable-aggregator-routing=true"],
    fairlead: { processes: [] },
  });
  try {
    const names = [
      `Service/${SERVICE}`,
      `Secret/${SERVICE}-api-path`,
      `Secret/${SERVICE}-tls`,
      `MutatingWebhookConfiguration/${SERVICE}`,
    ];
    const ours = names.map((name) => {
      const object = manifest.get(name);
      if (object === undefined) throw new Error(`${manifestPath} holds no ${name}`);
      return object;
    });
    await stage.api.createAll(ours);
    const path = ours[1]?.data?.value ?? "";
    const processes = await prepareProcesses(stage, Buffer.from(path, "base64").toString("utf8"), {
      env,
      ...(program === undefined ? {} : { program }),
    });
    return {
      ...stage,
      manifest,
      replicas: processes.filter(({ mode }) => mode === "admission"),
      watchers: processes.filter(({ mode }) => mode === "watch"),
      async stop() {
        await Promise.all(processes.map(async (each) => each.close()));
        keep(stage.cluster.directory, processes);
        await stage.stop();
      },
    };
  } catch (error) {
    await stage.stop();
    throw error;
  }
}
