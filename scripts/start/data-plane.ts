import { mkdtemp, realpath } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  startDataPlane,
  type DataPlane,
  type EmbeddedCluster,
  type Gateway,
  type HostedAPIServer,
  type Progress,
} from "../../test/cluster";
import { findPrograms } from "../../test/cluster/binaries";
import { createNetwork, NetworkUnavailableError } from "../../test/cluster/network";
import { canBuild, dataPlanePrograms, parseKubernetesVersion } from "../../test/cluster/versions";
import { startWatchdog } from "../../test/cluster/watchdog";
import type { StartOptions } from "./options";

/** Whether the data plane is a part of the story; `reason` is sentences, a line each. */
export type DataPlaneChoice =
  | { readonly kind: "run" }
  | { readonly kind: "left-out"; readonly reason: readonly string[] };

/** Names of the story's tenants: of the namespaces, and of the HostedAPIServers in them. */
export const tenantNames = ["tenant-a", "tenant-b"] as const;
/** One of them. */
export type TenantName = (typeof tenantNames)[number];

/**
 * All API servers of a tenant, and its clients, are in one zone. That is kind to L4: it prefers the client's zone, and
 * API servers elsewhere would idle.
 */
export const zoneOf: Readonly<Record<TenantName, string>> = {
  "tenant-a": "zone-1",
  "tenant-b": "zone-2",
};

const CLUSTER_PROGRAMS = [
  "etcd",
  "kube-apiserver",
  "kubectl",
  "kube-controller-manager",
  "kube-scheduler",
] as const;

/** How many API servers a tenant has. */
export const API_SERVERS = 3;

/** The host name of a tenant's API server, as in the examples. */
export function hostOf(tenant: string): string {
  return `${tenant}.clusters.example.com`;
}

/** A data plane with a gateway in two zones, and each tenant's API servers. */
export interface Machinery {
  readonly plane: DataPlane;
  readonly gateway: Gateway;
  readonly hosted: Readonly<Record<TenantName, HostedAPIServer>>;
}

const leftOut = (...reason: readonly string[]): DataPlaneChoice => ({ kind: "left-out", reason });

/** What the options alone say; undefined: it depends on this machine. */
export function chooseByOptions(
  options: Pick<StartOptions, "dataPlane" | "kubeconfig" | "version">,
): DataPlaneChoice | undefined {
  if (options.dataPlane === "leave-out") return leftOut("--no-data-plane was asked for.");
  if (options.kubeconfig !== undefined) {
    return leftOut("It comes with the cluster that npm start makes itself, not with yours.");
  }
  if (options.version === undefined) return undefined;
  const version = parseKubernetesVersion(options.version);
  return canBuild("kube-controller-manager", version)
    ? undefined
    : leftOut(`It needs Kubernetes 1.33 or later, and ${version} was asked for.`);
}

/** Makes a network as the data plane does, and lets it go. */
async function tryNetwork(signal: AbortSignal): Promise<DataPlaneChoice> {
  const directory = await mkdtemp(join(await realpath(tmpdir()), "fairlead-network-"));
  const watchdog = startWatchdog(directory);
  try {
    await createNetwork({ directory, watchdog, serviceRanges: [], signal });
    return { kind: "run" };
  } catch (error) {
    if (!(error instanceof NetworkUnavailableError)) throw error;
    // Its first line is of the embedded cluster's own command; several attempts may fail alike.
    const lines = new Set(error.message.split("\n").slice(1));
    return leftOut("No network namespace can be made here.", ...lines);
  } finally {
    await watchdog.close();
  }
}

/**
 * Decides whether the data plane is a part of the story.
 * @throws UnknownVersionError for a version that nobody can build; the signal's reason.
 */
export async function chooseDataPlane(
  options: StartOptions,
  signal: AbortSignal,
): Promise<DataPlaneChoice> {
  return chooseByOptions(options) ?? tryNetwork(signal);
}

/** What it is told to whom, and what ends it. */
export interface StartContext {
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

/** Runs a step of the start, unless it is interrupted: then whoever made it ends what it has begun. */
async function step<T>(
  { progress, signal }: StartContext,
  title: string,
  run: () => Promise<T>,
): Promise<T> {
  const shown = progress.step(title);
  let interrupt: (() => void) | undefined;
  try {
    const interrupted = new Promise<never>((_, reject) => {
      interrupt = () => {
        reject(signal.reason as Error);
      };
      signal.addEventListener("abort", interrupt);
    });
    signal.throwIfAborted();
    const value = await Promise.race([run(), interrupted]);
    shown.done();
    return value;
  } catch (error) {
    shown.fail();
    throw error;
  } finally {
    if (interrupt !== undefined) signal.removeEventListener("abort", interrupt);
  }
}

/** What the data plane needs is not to be had on this machine. */
export class ProgramsError extends Error {
  override readonly name = "ProgramsError";
}

/**
 * Finds or builds all programs of the cluster and of its data plane at once: they share most of what is compiled.
 * @param version Of Kubernetes; undefined: the default.
 * @throws {ProgramsError} that says what to do without them; the signal's reason.
 */
export async function preparePrograms(
  version: string | undefined,
  { progress, signal }: StartContext,
): Promise<void> {
  try {
    await findPrograms({
      version,
      programs: [...CLUSTER_PROGRAMS, ...dataPlanePrograms],
      progress,
      signal,
    });
  } catch (error) {
    signal.throwIfAborted();
    const message = error instanceof Error ? error.message : String(error);
    throw new ProgramsError(
      `${message}\nWithout istiod, a gateway and hosted API servers there is less to build: npm start -- --no-data-plane`,
      { cause: error },
    );
  }
}

/** Starts the network, istiod and what belongs to them. */
export async function startPlane(
  cluster: EmbeddedCluster,
  context: StartContext,
): Promise<DataPlane> {
  return startDataPlane(cluster, { ...context, zones: Object.values(zoneOf) });
}

/** Starts a gateway with a Pod in each zone, and the API servers of both tenants. */
export async function startMachinery(plane: DataPlane, context: StartContext): Promise<Machinery> {
  const startTenant = async (tenant: TenantName): Promise<HostedAPIServer> =>
    step(context, `start ${API_SERVERS} kube-apiservers of ${tenant}`, async () =>
      plane.addHostedAPIServer({
        namespace: tenant,
        zones: new Array<string>(API_SERVERS).fill(zoneOf[tenant]),
        // What clients see in L4 is the API servers' own certificate.
        dnsNames: [hostOf(tenant)],
      }),
    );
  const [gateway, a, b] = await Promise.all([
    step(context, "start the Istio gateway", async () =>
      plane.addGateway({
        namespace: "istio-ingress",
        name: "istio-ingressgateway",
        labels: { app: "istio-ingressgateway", istio: "ingressgateway" },
        zones: Object.values(zoneOf),
      }),
    ),
    startTenant("tenant-a"),
    startTenant("tenant-b"),
  ]);
  return { plane, gateway, hosted: { "tenant-a": a, "tenant-b": b } };
}
