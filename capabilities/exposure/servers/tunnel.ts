import type { KubernetesObject } from "../../../lib/api";
import type { Certificate } from "../../../lib/domain/certificates";
import { findCondition, type DecidedCondition } from "../../../lib/domain/conditions";
import { certificateCoversHost } from "../../../lib/domain/hosts";
import { isIPAddress } from "../../../lib/domain/ip-addresses";
import { keyOf } from "../../../lib/domain/keys";
import type { GatewayFacts } from "../gateways/facts";
import { planWrite, planWrites, type Write } from "../objects";
import {
  loopbackAddressOf,
  tunnelNamesOf,
  tunnelObjectsOf,
  tunnelPortsOf,
  type Exposure,
  type Tunnel,
} from "../resources";
import { tunnelCheckOf, type GatewayCheck, type GatewayTarget } from "./checks";
import type { ObservedServer, ObservedTunnel, OwnTunnel } from "./observed";
import { isMomentary, problemsOf, targetsOf, verdictOf } from "./verdict";

/** To look through the tunnel. */
export interface TunnelNeed {
  readonly kind: "tunnel";
  readonly check: GatewayCheck;
  readonly targets: readonly GatewayTarget[];
}

/** What to do for the tunnel of one HostedAPIServer. */
export interface TunnelPlan {
  readonly writes: readonly Write[];
  readonly needs: readonly TunnelNeed[];
  /** Undefined: it wants no tunnel. */
  readonly condition: DecidedCondition | undefined;
  /** Nothing will say when it is as it should be. */
  readonly retry: boolean;
}

const TYPE = "TunnelProgrammed";

const NONE: TunnelPlan = { writes: [], needs: [], condition: undefined, retry: false };

const no = (reason: string, message: string): DecidedCondition => ({
  type: TYPE,
  status: "False",
  reason,
  message,
});

/** All objects of a tunnel, in the order in which they go: first what takes connections. */
export function tunnelParts(own: OwnTunnel | undefined): readonly KubernetesObject[] {
  return own === undefined ? [] : [...own.gateways, ...own.virtualServices, ...own.serviceEntries];
}

function removal(own: OwnTunnel): readonly Write[] {
  return tunnelParts(own)
    .map((object) => planWrite(undefined, object))
    .filter((write) => write !== undefined);
}

/** The names and addresses that a certificate is not for. */
function uncoveredBy(leaf: Certificate, names: readonly string[]): readonly string[] {
  return names.filter((name) =>
    isIPAddress(name)
      ? leaf.x509.checkIP(name) === undefined
      : !leaf.dnsNames.some((pattern) => certificateCoversHost(pattern, name)),
  );
}

/** What clients of the tunnel are shown, as far as it was seen on the main port. */
function shownLeaf({ sightings, direct }: ObservedServer, { mode }: Exposure) {
  const chain = mode.kind === "L7" ? sightings?.chain : direct?.chain;
  return chain?.[0];
}

const ageOf = ({ metadata }: KubernetesObject): string =>
  `${metadata.creationTimestamp ?? ""} ${metadata.name}`;

/** The address is kept in the ServiceEntry; where two have the same one, the older keeps it. */
function addressOf({ own, others }: ObservedTunnel, exposure: Exposure): string {
  const { namespace } = exposure.gateway.metadata;
  const isHere = ({ metadata }: KubernetesObject): boolean => metadata.namespace === namespace;
  const mine = own.serviceEntries.find(isHere);
  const taken = others
    .filter(isHere)
    .filter((other) => mine === undefined || ageOf(other) < ageOf(mine))
    .flatMap(({ spec }) => spec.endpoints.map(({ address }) => address));
  return loopbackAddressOf(
    keyOf(exposure.server),
    mine?.spec.endpoints[0]?.address,
    new Set(taken),
  );
}

/** The versions of what is there; what was made anew, or changed, is looked at anew. */
function versionsOf(own: OwnTunnel): readonly string[] {
  return tunnelParts(own).map(
    ({ metadata: { uid = "", generation = 0 } }) => `${uid}/${generation}`,
  );
}

function alignWrites(tunnel: Tunnel, own: OwnTunnel): readonly Write[] {
  const { serviceEntry, virtualService, gateway } = tunnelObjectsOf(tunnel);
  const { namespace } = tunnel.exposure.gateway.metadata;
  return planWrites(
    // First what others refer to; the listener before the route that leads there is of no use to anybody.
    [serviceEntry, virtualService, gateway],
    tunnelParts(own).filter(({ metadata }) => metadata.namespace === namespace),
  );
}

function planServed(
  observed: ObservedServer,
  tunnel: Tunnel,
  seen: { readonly state: ObservedTunnel; readonly facts: GatewayFacts },
): TunnelPlan {
  const { state, facts } = seen;
  const writes = alignWrites(tunnel, state.own);
  const check = tunnelCheckOf(tunnel, facts, versionsOf(state.own));
  const sight = { sightings: state.sightings, nowMs: observed.nowMs };
  const verdict = verdictOf(sight, check);
  const isServed = writes.length === 0 && check.pods.length > 0 && verdict.missing.length === 0;
  const targets = writes.length === 0 ? targetsOf(sight, check, verdict) : [];
  const needs: readonly TunnelNeed[] =
    targets.length === 0 ? [] : [{ kind: "tunnel", check, targets }];
  const { name, namespace = "" } = tunnel.exposure.gateway.metadata;
  if (isServed) {
    const message = `Every ready Pod of InternalGateway ${namespace}/${name} takes tunnels to it.`;
    const condition: DecidedCondition = {
      type: TYPE,
      status: "True",
      reason: "Programmed",
      message,
    };
    return { writes, needs, condition, retry: false };
  }
  const problem = problemsOf(verdict);
  const current = findCondition(observed.server.status?.conditions, TYPE);
  if (current?.status === "True" && check.pods.length > 0 && isMomentary(sight)) {
    return { writes, needs, condition: current, retry: true };
  }
  const condition =
    problem === undefined
      ? no("Pending", "The gateway's tunnel port is being looked at.")
      : no("NotServed", `The tunnel does not lead there yet: ${problem}.`);
  return { writes, needs, condition, retry: true };
}

/**
 * Plans the tunnel of a HostedAPIServer that is served: made once its public hosts were seen to be served and the
 * certificate is for the in-cluster names too, and taken away when either side no longer wants it. Level-based, as
 * `planServer` is; modifies and throws nothing.
 * @param gate Whether the public hosts were seen to be served as they are to be.
 */
export function planTunnel(
  observed: ObservedServer,
  exposure: Exposure,
  gate: { readonly verified: boolean; readonly facts: GatewayFacts },
): TunnelPlan {
  const { server, tunnel: state } = observed;
  if (state === undefined) return NONE;
  const names = tunnelNamesOf(server);
  if (names.length === 0) return { ...NONE, writes: removal(state.own) };
  const ports = tunnelPortsOf(exposure.gateway);
  if (ports === undefined) {
    const { name, namespace = "" } = exposure.gateway.metadata;
    const message = `InternalGateway ${namespace}/${name} takes no tunnels; its owner can set spec.tunnel.`;
    return { ...NONE, writes: removal(state.own), condition: no("NoTunnel", message) };
  }
  const current = findCondition(server.status?.conditions, TYPE);
  const pending = no("Pending", "Waits until the public hosts are served; see Programmed.");
  if (!gate.verified) {
    const stays = state.own.gateways.length > 0 ? current : undefined;
    return { ...NONE, condition: stays ?? pending };
  }
  const leaf = shownLeaf(observed, exposure);
  if (leaf === undefined && exposure.mode.kind === "L7") return { ...NONE, condition: pending };
  const uncovered = leaf === undefined ? [] : uncoveredBy(leaf, names);
  if (uncovered.length > 0) {
    const where = exposure.mode.kind === "L7" ? "certificates.server" : "the API servers' own";
    const message = `The certificate that clients are shown is not for ${uncovered.join(", ")}: add them to ${where}.`;
    return { ...NONE, condition: no("NamesNotCovered", message) };
  }
  const tunnel = { exposure, ports, address: addressOf(state, exposure) };
  return planServed(observed, tunnel, { state, facts: gate.facts });
}
