import { join } from "node:path";
import { type ChildProgram, launchUntilReady, retryPortClash } from "./child-program";
import type { ClusterFiles, ClusterKeys } from "./cluster-files";
import { probe } from "./http-probe";
import { findFreePort, isPortFree } from "./ports";
import type { Watchdog } from "./watchdog";

/** A kube-apiserver on 127.0.0.1, whose port stays the same over restarts. */
export interface ApiServer {
  readonly url: string;
  readonly port: number;
  readonly caPem: string;
  /** The process that runs now, or that ran last. */
  readonly pid: number;
  /** Default SIGTERM, which lets requests end; SIGKILL cuts them off. */
  stop(signal?: NodeJS.Signals): Promise<void>;
  /** Starts it again on the same port and waits until it is ready. */
  start(): Promise<void>;
  restart(signal?: NodeJS.Signals): Promise<void>;
  /** /readyz, and what every cluster has: the default namespace. */
  isReady(): Promise<boolean>;
}

/** What a kube-apiserver is started from. */
export interface ApiServerRequest {
  readonly program: string;
  readonly directory: string;
  readonly etcdUrl: string;
  readonly keys: ClusterKeys;
  readonly files: ClusterFiles;
  readonly watchdog: Watchdog;
  /** Whether Pods get a ServiceAccount, and its token as a volume. */
  readonly serviceAccountAdmission: "off" | "on";
  /** Appended, so that they win over the cluster's own. */
  readonly flags: readonly string[];
  /** Asked for by the caller; else a free one is found. */
  readonly port?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A port that the caller asked for, and that somebody else listens to. */
class PortTakenError extends Error {
  override readonly name = "PortTakenError";
}

const readyTimeoutMs = 120_000;

/**
 * Starts kube-apiserver and waits until it is ready.
 * @throws {PortTakenError} when the port asked for is taken, and what `waitUntilReady` throws.
 */
export async function startApiServer(request: ApiServerRequest): Promise<ApiServer> {
  if (request.port !== undefined) {
    await assertPortFree(request.port);
    return startOn(request, request.port);
  }
  return retryPortClash(async () => startOn(request, await findFreePort()));
}

async function startOn(request: ApiServerRequest, port: number): Promise<ApiServer> {
  const url = `https://127.0.0.1:${port}`;
  const caPem = request.keys.ca.certificatePem;
  const ask = async (path: string) =>
    (await probe(`${url}${path}`, { caPem, client: request.keys.admin })).status === 200;
  const isReady = async () => (await ask("/readyz")) && (await ask("/api/v1/namespaces/default"));
  const launchRequest = {
    program: request.program,
    args: [...apiServerFlags(request, port), ...request.flags],
    logPath: join(request.directory, "kube-apiserver.log"),
    directory: request.directory,
    watchdog: request.watchdog,
  };
  const run = async (signal?: AbortSignal) =>
    launchUntilReady(launchRequest, { isReady, timeoutMs: readyTimeoutMs, signal });
  let program: ChildProgram = await run(request.signal);
  const server: ApiServer = {
    url,
    port,
    caPem,
    get pid() {
      return program.pid;
    },
    isReady,
    stop: async (signal) => program.stop(signal),
    async start() {
      if (program.ending() === undefined) throw new Error(`kube-apiserver runs already at ${url}.`);
      await assertPortFree(port);
      program = await run();
    },
    async restart(signal) {
      await server.stop(signal);
      await server.start();
    },
  };
  return server;
}

async function assertPortFree(port: number): Promise<void> {
  if (await isPortFree(port)) return;
  throw new PortTakenError(
    `Port ${port} on 127.0.0.1, where kube-apiserver was to listen, is taken by another process.`,
  );
}

function apiServerFlags(request: ApiServerRequest, port: number): string[] {
  const { files } = request;
  return [
    `--etcd-servers=${request.etcdUrl}`,
    "--bind-address=127.0.0.1",
    `--secure-port=${port}`,
    // Endpoints refuse loopback addresses, so the Service "kubernetes" gets none.
    "--advertise-address=127.0.0.1",
    "--endpoint-reconciler-type=none",
    `--cert-dir=${join(request.directory, "pki")}`,
    `--tls-cert-file=${files.serverCertificate}`,
    `--tls-private-key-file=${files.serverKey}`,
    `--client-ca-file=${files.ca}`,
    "--service-account-issuer=https://kubernetes.default.svc",
    `--service-account-key-file=${files.serviceAccountPublicKey}`,
    `--service-account-signing-key-file=${files.serviceAccountKey}`,
    "--service-cluster-ip-range=10.96.0.0/16,fd00:10:96::/112",
    "--authorization-mode=RBAC",
    // Without a controller manager no ServiceAccount "default" would ever appear.
    ...(request.serviceAccountAdmission === "on"
      ? []
      : ["--disable-admission-plugins=ServiceAccount"]),
    "--allow-privileged=true",
    "--profiling=false",
    "--shutdown-delay-duration=0s",
    // Cuts open watches off 2 s after SIGTERM; else they hold it back for a minute.
    "--shutdown-send-retry-after=true",
    `--audit-policy-file=${files.auditPolicy}`,
    `--audit-log-path=${files.auditLog}`,
    // Blocking: a request's event is in the file before its answer is sent. The size (MiB) only
    // keeps it from being rotated.
    "--audit-log-mode=blocking",
    "--audit-log-maxsize=100000",
  ];
}
