import type { GatewaySighting } from "../../../lib/cluster";
import { ROUTE_HEADER } from "../../../capabilities/exposure/resources";
import {
  judgeSighting,
  targetName,
  type DirectLook,
  type GatewayCheck,
  type GatewayTarget,
} from "../../../capabilities/exposure/servers/checks";
import type {
  DirectSighting,
  GatewaySightings,
} from "../../../capabilities/exposure/servers/observed";
import {
  certificate,
  GATEWAYS,
  SERVERS,
  type Configuration,
  type GatewayPod,
  type ServerName,
  type World,
} from "./world";

const NO_ANSWER: GatewaySighting = { kind: "failed", problem: "no answer" };
/** What kube-apiserver answers to whoever is nobody. */
const UNAUTHORIZED = 401;

function ownerOf({ servers }: World, host: string): ServerName | undefined {
  return SERVERS.find((name) => servers.get(name)?.spec.hosts.includes(host));
}

/** What somebody meets who connects to the API servers themselves. */
function apiServersAnswer(world: World, name: ServerName | undefined): GatewaySighting {
  const { apiServers } = world.surroundings[name ?? "one"];
  if (name === undefined || apiServers === "do not answer") return NO_ANSWER;
  const hosts = world.servers.get(name)?.spec.hosts ?? [];
  const names = apiServers === "do not cover the hosts" ? ["kubernetes.default.svc"] : hosts;
  const chain = [certificate(`${name}-own`, names)];
  return { kind: "served", chain, statuses: [UNAUTHORIZED, UNAUTHORIZED] };
}

/** Whether a path is the one that a VirtualService has the gateway answer itself. */
function isRevision(
  { virtualServices }: Configuration,
  { host, path }: { readonly host: string; readonly path: string },
): boolean {
  return virtualServices
    .filter(({ spec }) => spec.hosts.includes(host))
    .flatMap(({ spec }) => spec.http ?? [])
    .some(
      (route) => "directResponse" in route && route.match.some(({ uri }) => uri.exact === path),
    );
}

/** What a check meets at a Pod of the gateway, by what that Pod was told. */
export function answerOf(
  world: World,
  { answers, configuration }: GatewayPod,
  { probe }: GatewayCheck,
): GatewaySighting {
  const host = probe.serverName;
  const tls = configuration.gateways
    .flatMap(({ spec }) => spec.servers)
    .find(({ hosts }) => hosts.includes(host))?.tls;
  if (!answers || tls === undefined) return NO_ANSWER;
  if (tls.mode === "PASSTHROUGH") return apiServersAnswer(world, ownerOf(world, host));
  const sha256 = configuration.certificates.get(tls.credentialName);
  if (sha256 === undefined) return NO_ANSWER;
  const statuses = probe.requests.map((asked) => {
    if (asked.host !== host) return configuration.filterSecret === undefined ? 404 : 421;
    return isRevision(configuration, asked) ? 200 : UNAUTHORIZED;
  });
  return { kind: "served", chain: [certificate(sha256, [host])], statuses };
}

function sightingAt(world: World, check: GatewayCheck, target: GatewayTarget): GatewaySighting {
  for (const name of GATEWAYS) {
    const { pods, addresses } = world.gateways[name];
    const pod = pods.find(({ address }) => address === target.address);
    if (pod !== undefined) return answerOf(world, pod, check);
    const at = addresses.findIndex(({ address }) => address === target.address);
    // Each address leads to a Pod of its own, so that one may fail and the other not.
    const behind = pods[at % Math.max(1, pods.length)];
    if (addresses[at]?.answers === true && behind !== undefined) {
      return answerOf(world, behind, check);
    }
  }
  return NO_ANSWER;
}

/**
 * What is known of a check after a look at some of its targets.
 * @see lookAtGateway in capabilities/exposure/servers/look.ts, which does the same by I/O.
 */
export function lookAtGateway(
  world: World,
  { check, targets }: { readonly check: GatewayCheck; readonly targets: readonly GatewayTarget[] },
  sightings: GatewaySightings | undefined,
): GatewaySightings {
  const before = sightings?.check === check.id ? sightings : undefined;
  const all = [...check.pods, ...check.services];
  const wanted = new Set(all.map(targetName));
  const verdicts = new Map([...(before?.verdicts ?? [])].filter(([name]) => wanted.has(name)));
  let chain = before?.chain ?? [];
  for (const target of targets) {
    const sighting = sightingAt(world, check, target);
    const problem = judgeSighting(check, sighting);
    verdicts.set(targetName(target), problem);
    if (problem === undefined && sighting.kind === "served") ({ chain } = sighting);
  }
  const isBad = (target: GatewayTarget): boolean => verdicts.get(targetName(target)) !== undefined;
  const fails = check.pods.some(isBad) || check.services.every(isBad);
  const isAnew = before === undefined || targets.length === all.length;
  return {
    check: check.id,
    verdicts,
    completeAtMs: isAnew ? world.nowMs : before.completeAtMs,
    chain,
    failingSinceMs: fails ? (before?.failingSinceMs ?? world.nowMs) : undefined,
  };
}

/**
 * What the API servers themselves serve.
 * @see lookDirectly in capabilities/exposure/servers/look.ts, which does the same by I/O.
 */
export function lookDirectly(world: World, name: ServerName, look: DirectLook): DirectSighting {
  const seen = { look: look.id, seenAtMs: world.nowMs };
  const sighting = apiServersAnswer(world, name);
  if (sighting.kind === "failed") {
    return { ...seen, uncoveredHosts: undefined, chain: [], problem: sighting.problem };
  }
  const names = sighting.chain.flatMap(({ dnsNames }) => dnsNames);
  const uncoveredHosts = look.hosts.filter((host) => !names.includes(host));
  return { ...seen, uncoveredHosts, chain: sighting.chain, problem: undefined };
}

/**
 * Whether a Pod of a gateway serves all hosts of a HostedAPIServer in L7, as its status says. By which secret a trusted
 * route is found does not show in its revision.
 */
export function podServesL7(
  { servers }: World,
  { answers, configuration }: GatewayPod,
  name: ServerName,
): boolean {
  const { spec, status } = servers.get(name) ?? {};
  const bundle = status?.certificates?.some(({ use }) => use === "clientCA") === true;
  const wanted = status?.certificates?.find(({ use }) => use === "server")?.sha256;
  const serves = (host: string): boolean => {
    const tls = configuration.gateways
      .flatMap((each) => each.spec.servers)
      .find(({ hosts }) => hosts.includes(host))?.tls;
    const routes = configuration.virtualServices
      .filter((each) => each.spec.hosts.includes(host))
      .flatMap((each) => each.spec.http ?? []);
    const isTrusted = JSON.stringify(routes).includes(ROUTE_HEADER);
    return (
      tls !== undefined &&
      tls.mode !== "PASSTHROUGH" &&
      configuration.certificates.get(tls.credentialName) === wanted &&
      (isTrusted || !bundle)
    );
  };
  return answers && (spec?.hosts ?? []).every(serves);
}
