import { partition } from "ramda";
import { probeGateway, type Clock } from "../../../lib/cluster";
import type { Certificate } from "../../../lib/domain/certificates";
import { certificateCoversHost } from "../../../lib/domain/hosts";
import {
  judgeSighting,
  targetName,
  type DirectLook,
  type GatewayCheck,
  type GatewayTarget,
} from "./checks";
import type { DirectSighting, GatewaySightings } from "./observed";

/**
 * Looks at targets of a check and adds what was seen to what is known of the same check.
 * @param known What was seen before; of another check it is forgotten.
 */
export async function lookAtGateway(
  check: GatewayCheck,
  targets: readonly GatewayTarget[],
  known: { readonly sightings: GatewaySightings | undefined; readonly nowMs: number },
): Promise<GatewaySightings> {
  const before = known.sightings?.check === check.id ? known.sightings : undefined;
  const all = [...check.pods, ...check.services];
  const wanted = new Set(all.map(targetName));
  const verdicts = new Map([...(before?.verdicts ?? [])].filter(([name]) => wanted.has(name)));
  let chain = before?.chain ?? [];
  const look = async (target: GatewayTarget): Promise<void> => {
    const sighting = await probeGateway({ ...check.probe, ...target });
    const problem = judgeSighting(check, sighting);
    verdicts.set(targetName(target), problem);
    if (problem === undefined && sighting.kind === "served") ({ chain } = sighting);
  };
  const pods = new Set(check.pods.map(targetName));
  const [first, second] = partition((target) => pods.has(targetName(target)), targets);
  // Pods first: where all of them serve it by then, a cluster IP that does not is a dead address.
  await Promise.all(first.map(look));
  await Promise.all(second.map(look));
  const isBad = (target: GatewayTarget): boolean => verdicts.get(targetName(target)) !== undefined;
  const fails =
    check.pods.some(isBad) || (check.services.length > 0 && check.services.every(isBad));
  const isAnew = before === undefined || targets.length === all.length;
  return {
    check: check.id,
    verdicts,
    completeAtMs: isAnew ? known.nowMs : before.completeAtMs,
    chain,
    failingSinceMs: fails ? (before?.failingSinceMs ?? known.nowMs) : undefined,
  };
}

async function chainFor(look: DirectLook, serverName: string) {
  return probeGateway({
    ...look.target,
    serverName,
    requests: [{ path: "/livez", host: serverName }],
    timeoutMs: look.timeoutMs,
  });
}

const covers = ([leaf]: readonly Certificate[], host: string): boolean =>
  (leaf?.dnsNames ?? []).some((name) => certificateCoversHost(name, host));

/** Looks at what the API servers themselves serve: for each public name, and for the Service's own. */
export async function lookDirectly(look: DirectLook, clock: Clock): Promise<DirectSighting> {
  const byService = await chainFor(look, look.serviceName);
  if (byService.kind === "failed") {
    return {
      look: look.id,
      seenAtMs: clock.nowMs(),
      uncoveredHosts: undefined,
      chain: [],
      problem: byService.problem,
    };
  }
  const byHost = await Promise.all(
    look.hosts.map(async (host) => ({ host, seen: await chainFor(look, host) })),
  );
  const uncovered = byHost
    .filter(({ host, seen }) => seen.kind === "failed" || !covers(seen.chain, host))
    .map(({ host }) => host);
  return {
    look: look.id,
    seenAtMs: clock.nowMs(),
    uncoveredHosts: uncovered,
    chain: byService.chain,
    problem: undefined,
  };
}
