import type { EnvoyFilter, NetworkPolicy } from "../../../lib/api";
import type { EndpointSlice } from "./addresses";
import type { ObservedPorts } from "./ports";
import type { RouteSecretState } from "./route-secret";

/** What was observed around an InternalGateway. */
export interface ObservedGateway extends ObservedPorts {
  /** EndpointSlices of its internal Service. */
  readonly endpointSlices: readonly EndpointSlice[];
  /** What has the name of the shared EnvoyFilter, if anything; undefined where Istio's kinds are not served. */
  readonly istio: { readonly envoyFilter: EnvoyFilter | undefined } | undefined;
  readonly routeSecret: RouteSecretState;
  /** NetworkPolicies of its namespace: those of others, and those made for InternalGateways. */
  readonly policies: readonly NetworkPolicy[];
  /** Addresses of the internal Service at which nobody answered. */
  readonly deadAddresses: ReadonlySet<string>;
  /** How many HostedAPIServers are attached. */
  readonly attached: number;
  /** The gateway's own namespace is being deleted: nothing is created and nothing waited for. */
  readonly terminating: boolean;
  /** What the API server said when it refused the last write. */
  readonly refusal: string | undefined;
  readonly nowMs: number;
}
