import type { KubernetesObject } from "../../lib/api";
import { probeGateway } from "../../lib/cluster";
import { SERVER_NAME } from "./names";
import type { Replica, ReplicaAddress } from "./observed";

/** An EndpointSlice; only what is looked at is typed. */
export interface EndpointSlice extends KubernetesObject {
  /** Null where there is none. */
  readonly endpoints?:
    | readonly {
        readonly addresses?: readonly string[];
        /** `ready` absent means ready. */
        readonly conditions?: { readonly ready?: boolean };
      }[]
    | null;
  readonly ports?: readonly { readonly port?: number; readonly protocol?: string }[] | null;
}

const PROBE_TIMEOUT_MS = 3_000;

/** Where the Service leads to: every address of an endpoint that is ready, once, sorted. */
export function readyAddresses(slices: readonly EndpointSlice[]): readonly ReplicaAddress[] {
  const found = slices.flatMap(({ endpoints, ports }) => {
    const tcp = (ports ?? []).filter(({ protocol = "TCP" }) => protocol === "TCP");
    return (endpoints ?? [])
      .filter(({ conditions }) => conditions?.ready !== false)
      .flatMap(({ addresses = [] }) => addresses)
      .flatMap((address) => tcp.map(({ port = 0 }) => ({ address, port })));
  });
  const byName = new Map(found.map((each) => [`${each.address} ${each.port}`, each]));
  return [...byName].sort(([one], [other]) => (one < other ? -1 : 1)).map(([, each]) => each);
}

/** Looks at what a replica serves, as an API server would find it. Throws nothing. */
export async function lookAtReplica({ address, port }: ReplicaAddress): Promise<Replica> {
  const sighting = await probeGateway({
    address,
    port,
    serverName: SERVER_NAME,
    requests: [{ path: "/healthz", host: SERVER_NAME }],
    timeoutMs: PROBE_TIMEOUT_MS,
  });
  return { address, port, chain: sighting.kind === "served" ? sighting.chain : undefined };
}
