import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { type ChildProgram, launchUntilReady } from "./child-program";
import { issueUser, type User, writeKubeconfig } from "./cluster-files";
import type { Etcd } from "./etcd";
import {
  createHostedKeys,
  frontProxyNames,
  type HostedFiles,
  type HostedKeys,
  type HostedNames,
  writeHostedFiles,
} from "./hosted-files";
import { createKubectl, type Kubectl } from "./kubectl";
import { ensure, ensureNamespace, ensureNode, playPod, type PlayedPod } from "./kubelet";
import { type Kwok, startKwok } from "./kwok";
import { metricSum, type Sample } from "./metrics";
import type { Network, PodPlace } from "./network";
import type { Relay } from "./relay";
import { createRest, type Rest } from "./rest";
import { until } from "./until";
import type { Watchdog } from "./watchdog";

/** Kube-apiservers of one control plane. */
export interface HostedRequest {
  /** The control-plane namespace; it is made when it is not there. */
  readonly namespace: string;
  /** Of the Service; default kube-apiserver. One that exists stays as it is. */
  readonly name?: string;
  /** One replica in each; default three, in "zone-1". */
  readonly zones?: readonly string[];
  /** Default: that of the management cluster. */
  readonly kubernetesVersion?: string;
  /** More names in the API servers' own certificate, such as the public host. */
  readonly dnsNames?: readonly string[];
  /** From SIGTERM to refusing connections; default 5 s. */
  readonly shutdownDelaySeconds?: number;
  /** Of the readiness probes; default 500. */
  readonly readinessPeriodMs?: number;
  /** Appended to kube-apiserver's flags; the last one wins. */
  readonly flags?: readonly string[];
  /** Of the Service, and where the API servers listen; default 443, `kube-apiserver`. */
  readonly port?: { readonly number: number; readonly name: string };
  /** Makes its keys; default: `createHostedKeys`. */
  readonly makeKeys?: (names: HostedNames) => Promise<HostedKeys>;
  /** `--requestheader-allowed-names`; with none there is no such flag. Default: `frontProxyNames`. */
  readonly frontProxyNames?: readonly string[];
}

/** One kube-apiserver with its Pod. */
export interface HostedReplica {
  readonly pod: PlayedPod;
  readonly place: PodPlace;
  /** The process that runs now, or that ran last. */
  readonly pid: number;
  readonly logPath: string;
  isReady(): Promise<boolean>;
  /** Its own API, as the administrator, whatever the Service's endpoints are. */
  readonly rest: Rest;
  /**
   * Requests that were answered (`apiserver_request_total`) since it started. Default: all but
   * watches and the paths of probes and metrics; its own clients' are among them.
   */
  requestCount(isCounted?: (labels: Sample["labels"]) => boolean): Promise<number>;
  /** Open watches (`apiserver_longrunning_requests`), its own clients' among them. */
  watchCount(isCounted?: (labels: Sample["labels"]) => boolean): Promise<number>;
}

/** How a user reaches a hosted cluster. */
export interface HostedAccess {
  /** Default: the Service's cluster IP. */
  readonly server?: string;
  /** CA of the server's certificate; default: that of the API servers' own. */
  readonly caPem?: string;
  /** Default: a client certificate of the user. */
  readonly token?: string;
}

/** A hosted cluster: kube-apiservers in Pods of their own, a Service, a kwok. */
export interface HostedAPIServer {
  readonly namespace: string;
  readonly name: string;
  readonly kubernetesVersion: string;
  readonly clusterIP: string;
  readonly keys: HostedKeys;
  readonly files: HostedFiles;
  readonly replicas: readonly HostedReplica[];
  /** Plays the Nodes; the first is there: `node-zone-1`. */
  readonly kwok: Kwok;
  /** As the administrator, through the Service; runs in the node's network namespace. */
  readonly kubectl: Kubectl;
  readonly kubeconfigPath: string;
  /** The program, of its version: for clients. */
  readonly kubectlPath: string;
  /** Through the Service, as the administrator. */
  readonly rest: Rest;
  kubeconfigFor(user: User, access?: HostedAccess): Promise<string>;
  /** A client certificate of its client CA. */
  issueClient(user: User): Promise<{ certificatePem: string; privateKeyPem: string }>;
  /** A token of a ServiceAccount in the hosted cluster, which is made when it is not there. */
  tokenFor(account: { readonly namespace: string; readonly name: string }): Promise<string>;
  /**
   * Default SIGTERM: not ready at once, serving for `shutdownDelaySeconds`, then it lets requests
   * end. Resolves when the process has ended.
   */
  stopReplica(index: number, signal?: NodeJS.Signals): Promise<void>;
  /** Starts it again at the same address; resolves when its Pod is ready. */
  startReplica(index: number): Promise<void>;
  /** Ends everything of it, and deletes the Pods and the Service. */
  remove(): Promise<void>;
}

/** What hosted API servers are started with. */
export interface HostedGround {
  /** Of the management cluster. */
  readonly rest: Rest;
  readonly network: Network;
  readonly relay: Relay;
  readonly watchdog: Watchdog;
  readonly directory: string;
  readonly etcd: Etcd;
  /** Programs of a version. */
  readonly findPrograms: (
    version: string | undefined,
  ) => Promise<{ readonly version: string; readonly apiServer: string; readonly kubectl: string }>;
  readonly kwok: {
    readonly program: string;
    readonly stages: readonly string[];
    readonly port: number;
  };
  readonly setZone: (address: string, zone: string) => void;
}

const readyTimeoutMs = 120_000;
const serviceRange = "172.20.0.0/16";
const defaultPort = { number: 443, name: "kube-apiserver" } as const;

/**
 * Starts the kube-apiservers of a hosted cluster and waits until all are ready, as their Pods and
 * the Service's endpoints are then.
 * @throws what `launchUntilReady` throws, and {RestError}.
 */
export async function startHosted(
  ground: HostedGround,
  request: HostedRequest,
): Promise<HostedAPIServer> {
  const name = request.name ?? "kube-apiserver";
  const { namespace } = request;
  const directory = join(ground.directory, "hosted", namespace, name);
  await mkdir(directory, { recursive: true });
  await ensureNamespace(ground.rest, namespace);
  const labels = { app: "kubernetes", role: "apiserver", "hosted-api-server": name };
  const port = request.port ?? defaultPort;
  const clusterIP = await ensureService(ground.rest, { namespace, name, labels, port });
  const zones = request.zones ?? ["zone-1", "zone-1", "zone-1"];
  const [programs, ...places] = await Promise.all([
    ground.findPrograms(request.kubernetesVersion),
    ...zones.map(async (_, index) =>
      ground.network.addPod({ name: `${namespace}-${name}-${index}` }),
    ),
  ]);
  const makeKeys = request.makeKeys ?? createHostedKeys;
  const keys = await makeKeys({
    namespace,
    name,
    dnsNames: request.dnsNames ?? [],
    ipAddresses: [clusterIP, "172.20.0.1", ...places.map((place) => place.address)],
  });
  const files = await writeHostedFiles(directory, keys);
  const own: Own = { ...ground, request, directory, keys, files, labels, name, port, ...programs };
  const running = await Promise.all(
    places.map(async (place, index) =>
      startReplica(own, place, { index, zone: zones[index] ?? "zone-1" }),
    ),
  );
  const client = clientsOf(own, clusterIP);
  const kubeconfigPath = await client.kubeconfigFor({ name: "admin", groups: ["system:masters"] });
  await until(async () => (await client.rest.call({ path: "/readyz" })).status === 200, {
    what: `the Service ${namespace}/${name} to lead to an API server`,
  });
  const kwok = await startHostedKwok(own, kubeconfigPath);
  await ensureNode(client.rest, "zone-1");
  const at = (index: number) => replicaAt(running, index);
  return {
    namespace,
    name,
    kubernetesVersion: programs.version,
    clusterIP,
    keys,
    files,
    kwok,
    kubeconfigPath,
    kubectlPath: programs.kubectl,
    ...client,
    kubectl: createKubectl({
      program: programs.kubectl,
      directory,
      kubeconfig: kubeconfigPath,
      within: ground.network.prefix,
    }),
    replicas: running.map((one) => one.replica),
    stopReplica: async (index, signal) => at(index).stop(signal),
    startReplica: async (index) => at(index).start(),
    async remove() {
      await kwok.stop();
      await Promise.all(running.map(async (one) => one.remove()));
      const path = `/api/v1/namespaces/${namespace}/services/${name}`;
      await ground.rest.call({ method: "DELETE", path });
    },
  };
}

type Port = NonNullable<HostedRequest["port"]>;

interface Own extends HostedGround {
  readonly request: HostedRequest;
  readonly name: string;
  readonly port: Port;
  readonly labels: Readonly<Record<string, string>>;
  readonly keys: HostedKeys;
  readonly files: HostedFiles;
  readonly version: string;
  readonly apiServer: string;
}

async function ensureService(
  rest: Rest,
  service: {
    readonly namespace: string;
    readonly name: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly port: Port;
  },
): Promise<string> {
  const path = `/api/v1/namespaces/${service.namespace}/services`;
  const { name, number } = service.port;
  await ensure(rest, path, {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: service.name, labels: service.labels },
    spec: {
      selector: service.labels,
      ports: [{ name, port: number, targetPort: number, protocol: "TCP" }],
    },
  });
  const { spec } = await rest.json<{ spec: { clusterIP: string } }>({
    path: `${path}/${service.name}`,
  });
  return spec.clusterIP;
}

interface RunningReplica {
  readonly replica: HostedReplica;
  stop(signal?: NodeJS.Signals): Promise<void>;
  start(): Promise<void>;
  remove(): Promise<void>;
}

function replicaAt(running: readonly RunningReplica[], index: number): RunningReplica {
  const found = running[index];
  if (found === undefined) throw new RangeError(`There is no replica ${index}.`);
  return found;
}

async function startReplica(
  own: Own,
  place: PodPlace,
  which: { readonly index: number; readonly zone: string },
): Promise<RunningReplica> {
  const { namespace, readinessPeriodMs = 500 } = own.request;
  own.setZone(place.address, which.zone);
  const rest = createRest({
    url: `https://${place.address}:${own.port.number}`,
    dial: own.relay.dial,
    caPem: own.keys.serverCA.certificatePem,
    client: own.keys.admin,
  });
  const isReady = async () => (await rest.call({ path: "/readyz" })).status === 200;
  const logPath = join(own.directory, `kube-apiserver-${which.index}.log`);
  const run = async () =>
    launchUntilReady(
      {
        program: own.apiServer,
        within: place.prefix,
        directory: own.directory,
        watchdog: own.watchdog,
        logPath,
        stopTimeoutMs: (shutdownDelaySeconds(own) + 75) * 1000,
        args: hostedFlags(own, place.address),
      },
      { isReady, timeoutMs: readyTimeoutMs },
    );
  let program: ChildProgram = await run();
  const pod = await playPod(own.rest, {
    namespace,
    name: `${own.name}-${which.index}`,
    labels: own.labels,
    zone: which.zone,
    address: place.address,
    ports: [{ name: "https", containerPort: own.port.number }],
    isReady,
    periodMs: readinessPeriodMs,
  });
  return {
    replica: {
      ...countersOf(rest),
      pod,
      place,
      get pid() {
        return program.pid;
      },
      logPath,
      isReady,
      rest,
    },
    async stop(signal) {
      await program.stop(signal);
      await pod.probe().catch(() => undefined);
    },
    async start() {
      if (program.ending() === undefined) throw new Error(`${logPath}: it runs already.`);
      program = await run();
      await pod.probe();
    },
    async remove() {
      await pod.remove();
      await program.stop("SIGKILL");
      await place.remove();
    },
  };
}

function countersOf(rest: Rest): Pick<HostedReplica, "requestCount" | "watchCount"> {
  const metrics = async () => {
    const { status, body } = await rest.call({ path: "/metrics" });
    // Nothing would count as nothing.
    if (status !== 200) throw new Error(`/metrics of a hosted API server: status ${status}`);
    return body;
  };
  return {
    requestCount: async (isCounted = isRequest) =>
      metricSum(await metrics(), "apiserver_request_total", isCounted),
    watchCount: async (isCounted = isWatch) =>
      metricSum(await metrics(), "apiserver_longrunning_requests", isCounted),
  };
}

function isWatch(labels: Sample["labels"]): boolean {
  return labels.verb === "WATCH";
}

// Paths that are no resource's (/readyz, /metrics) are counted as subresources.
function isRequest(labels: Sample["labels"]): boolean {
  return !isWatch(labels) && labels.subresource?.startsWith("/") !== true;
}

function hostedFlags(own: Own, address: string): string[] {
  const { files, directory } = own;
  const allowedNames = own.request.frontProxyNames ?? frontProxyNames;
  return [
    `--etcd-servers=${own.etcd.url}`,
    `--etcd-prefix=/${own.request.namespace}/${own.name}`,
    `--bind-address=${address}`,
    `--secure-port=${own.port.number}`,
    `--advertise-address=${address}`,
    "--endpoint-reconciler-type=none",
    `--cert-dir=${join(directory, "pki")}`,
    `--tls-cert-file=${files.serverCertificate}`,
    `--tls-private-key-file=${files.serverKey}`,
    `--client-ca-file=${files.clientCA}`,
    `--requestheader-client-ca-file=${files.frontProxyCA}`,
    ...(allowedNames.length > 0 ? [`--requestheader-allowed-names=${allowedNames.join(",")}`] : []),
    "--requestheader-username-headers=X-Remote-User",
    "--requestheader-group-headers=X-Remote-Group",
    "--requestheader-extra-headers-prefix=X-Remote-Extra-",
    ...(Number(own.version.split(".")[1]) >= 32
      ? ["--requestheader-uid-headers=X-Remote-Uid"]
      : []),
    "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
    `--service-account-key-file=${files.serviceAccountPublicKey}`,
    `--service-account-signing-key-file=${files.serviceAccountKey}`,
    `--service-cluster-ip-range=${serviceRange}`,
    "--authorization-mode=RBAC",
    "--anonymous-auth=true",
    "--disable-admission-plugins=ServiceAccount",
    "--allow-privileged=true",
    "--profiling=false",
    `--shutdown-delay-duration=${shutdownDelaySeconds(own)}s`,
    // Ends open watches after the delay; else they hold the end back for a minute.
    "--shutdown-watch-termination-grace-period=2s",
    ...(own.request.flags ?? []),
  ];
}

function shutdownDelaySeconds({ request }: Own): number {
  return request.shutdownDelaySeconds ?? 5;
}

async function startHostedKwok(own: Own, kubeconfigPath: string): Promise<Kwok> {
  const directory = join(own.directory, "kwok");
  await mkdir(directory, { recursive: true });
  const { network, relay, watchdog } = own;
  return startKwok({
    ...own.kwok,
    directory,
    watchdog,
    relay,
    within: network.prefix,
    nodeAddress: network.address,
    kubeconfigPath,
    podRange: "10.250.0.0/16",
  });
}

function clientsOf(own: Own, clusterIP: string) {
  const { keys } = own;
  const url = `https://${clusterIP}:${own.port.number}`;
  const rest = createRest({
    url,
    dial: own.relay.dial,
    caPem: keys.serverCA.certificatePem,
    client: keys.admin,
  });
  let kubeconfigCount = 0;
  return {
    rest,
    issueClient: async (user: User) => issueUser(keys.clientCA, user),
    async kubeconfigFor(user: User, access: HostedAccess = {}) {
      kubeconfigCount += 1;
      const name = `kubeconfig-${kubeconfigCount}-${encodeURIComponent(user.name)}`;
      const path = join(own.directory, name);
      await writeKubeconfig(path, {
        url: access.server ?? url,
        caPem: access.caPem ?? keys.serverCA.certificatePem,
        userName: user.name,
        client: access.token === undefined ? await issueUser(keys.clientCA, user) : undefined,
        token: access.token,
      });
      return path;
    },
    async tokenFor(account: { readonly namespace: string; readonly name: string }) {
      const path = `/api/v1/namespaces/${account.namespace}/serviceaccounts`;
      await ensureNamespace(rest, account.namespace);
      await ensure(rest, path, {
        apiVersion: "v1",
        kind: "ServiceAccount",
        metadata: { name: account.name },
      });
      const { status } = await rest.json<{ status: { token: string } }>({
        method: "POST",
        path: `${path}/${account.name}/token`,
        body: { apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", spec: {} },
      });
      return status.token;
    },
  };
}
