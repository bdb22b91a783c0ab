import { createCA, issue, type KeyPair } from "../../test/cluster";
import { namespaceOf, type ControlPlane, type ControlPlaneKeys } from "./control-plane";
import { untilServed, type Counters, type Side } from "./side";

/** Makes control planes, all with keys of one CA. */
export interface Fleet {
  readonly caPem: string;
  /** The one of this number; it is the same for the same number. All have one certificate, of all names. */
  planeOf(index: number): ControlPlane;
  /** One with a certificate of its own. */
  newcomer(name: string): Promise<ControlPlane>;
}

/** What came of a new control plane at a gateway that serves others. */
export interface Arrival extends Counters {
  /** From the first write to the first TLS handshake with its own certificate. */
  readonly servedMs: number;
}

const DOMAIN = "example.com";

/** Makes the CA and what all share. */
export async function createFleet(): Promise<Fleet> {
  const ca = await createCA({ commonName: "bench" });
  const host = (name: string): string => `${name}.${DOMAIN}`;
  const certificateOf = async (name: string): Promise<KeyPair> =>
    issue(ca, { commonName: host(name), dnsNames: [host(name)], usages: ["server"] });
  const proxyClient = await issue(ca, { commonName: "system:istio-gateway", usages: ["client"] });
  const keysOf = (server: KeyPair): ControlPlaneKeys => ({
    server,
    proxyClient,
    clientCA: ca.certificatePem,
    serverCA: ca.certificatePem,
  });
  const shared = keysOf(
    await issue(ca, {
      commonName: `*.${DOMAIN}`,
      dnsNames: [`*.${DOMAIN}`],
      usages: ["server"],
    }),
  );
  const nameOf = (index: number): string => `plane-${String(index).padStart(4, "0")}`;
  return {
    caPem: ca.certificatePem,
    planeOf: (index) => ({
      namespace: nameOf(index),
      host: host(nameOf(index)),
      addresses: addressesOf(index),
      keys: shared,
    }),
    async newcomer(name) {
      const keys = keysOf(await certificateOf(name));
      return { namespace: name, host: host(name), addresses: addressesOf(newcomerIndex), keys };
    },
  };
}

const newcomerIndex = 9_999;
const replicas = [1, 2, 3] as const;

function addressesOf(index: number): readonly string[] {
  return replicas.map(
    (replica) => `10.${100 + replica}.${Math.floor(index / 250)}.${1 + (index % 250)}`,
  );
}

/** Makes a side serve the first control planes, and returns when all of it has come to rest. */
export async function grow(
  side: Side,
  fleet: Fleet,
  { from, to }: { readonly from: number; readonly to: number },
): Promise<void> {
  const planes = Array.from({ length: to - from }, (_, index) => fleet.planeOf(from + index));
  const { servicesOf, exposureOf } = side.way;
  await side.create(planes.map(namespaceOf));
  await side.create(planes.flatMap(servicesOf));
  await side.create(planes.flatMap(exposureOf));
  for (const plane of planes) {
    await untilServed(side, { host: plane.host, caPem: fleet.caPem, startMs: performance.now() });
  }
  await side.untilQuiet();
}

/** Makes Namespaces for newcomers, which are the same on all sides. */
export async function welcome(side: Side, newcomers: readonly ControlPlane[]): Promise<void> {
  await side.create(newcomers.map(namespaceOf));
  await side.untilQuiet();
}

/** Takes newcomers' Namespaces away. */
export async function dismiss(side: Side, newcomers: readonly ControlPlane[]): Promise<void> {
  await side.remove(newcomers.map(namespaceOf));
  await side.untilQuiet();
}

/**
 * Makes the gateway serve one control plane more, looks what that takes, and takes it away again. Its Services are there
 * before, as those of API servers that run already, and no other newcomer's.
 */
export async function arrive(side: Side, plane: ControlPlane, caPem: string): Promise<Arrival> {
  const services = side.way.servicesOf(plane);
  const objects = side.way.exposureOf(plane);
  await side.create(services, 1);
  await side.untilQuiet();
  const before = await side.counters();
  const startMs = performance.now();
  const [servedMs] = await Promise.all([
    untilServed(side, { host: plane.host, caPem, startMs }),
    side.create(objects, 1),
  ]);
  await side.untilQuiet();
  const after = await side.counters();
  await side.remove([...objects, ...services]);
  await side.untilQuiet();
  return { servedMs, ...differenceOf(before, after) };
}

function differenceOf(before: Counters, after: Counters): Counters {
  return {
    pushMs: after.pushMs - before.pushMs,
    pushes: after.pushes - before.pushes,
    convergenceMs: after.convergenceMs - before.convergenceMs,
    convergences: after.convergences - before.convergences,
    pushedBytes: after.pushedBytes - before.pushedBytes,
    istiodCpuMs: after.istiodCpuMs - before.istiodCpuMs,
    gatewayCpuMs: after.gatewayCpuMs - before.gatewayCpuMs,
  };
}
