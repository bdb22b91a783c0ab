import { parse } from "yaml";
import { decode } from "../objects";
import { findIn, ownOf, placeOf, type Hosted } from "./hosted";

/** Every `credentialName` in an object, in any depth. */
function credentialNames(value: unknown): readonly string[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) =>
    key === "credentialName" ? [inner as string] : credentialNames(inner),
  );
}

/** What is not as it should be of Istio's objects: one of each, that use the Secrets of status and no other. */
export function istioFaults(hosted: Hosted): readonly string[] {
  if (hosted.expected.istio === "absent") return [];
  const { server, proxyClient } = hosted.credentials;
  const place = `${hosted.gatewayNamespace}/${hosted.namespace}-${hosted.name}`;
  const wanted = [
    { kind: "Gateway", uses: [server] },
    { kind: "VirtualService", uses: [] },
    { kind: "DestinationRule", uses: [proxyClient] },
  ] as const;
  return wanted.flatMap(({ kind, uses }) => {
    const own = ownOf(hosted, kind);
    const [object] = own;
    if (object === undefined || own.length > 1 || placeOf(object) !== place) {
      return [`has the ${kind}s [${own.map(placeOf).join()}], not ${place}`];
    }
    const names = [...new Set(credentialNames(object.spec))];
    return names.join() === uses.join()
      ? []
      : [`${kind} ${place} uses [${names.join()}], not [${uses.join()}]`];
  });
}

interface GatewayServer {
  readonly hosts: readonly string[];
  readonly tls?: { readonly mode?: string };
}

/** What is not as it should be of how the hosts are served: in L4 connections pass, in L7 TLS ends at the gateway. */
export function modeFaults(hosted: Hosted): readonly string[] {
  const servers = ownOf(hosted, "Gateway").flatMap(
    ({ spec }) => (spec as { servers?: readonly GatewayServer[] } | undefined)?.servers ?? [],
  );
  return hosted.spec.hosts.flatMap((host) => {
    const modes = servers.filter(({ hosts }) => hosts.includes(host)).map(({ tls }) => tls?.mode);
    const passes = modes.length === 1 && modes[0] === "PASSTHROUGH";
    const ends = modes.length === 1 && !passes;
    if (hosted.expected.istio === "absent" || (hosted.mode === "L4" ? passes : ends)) return [];
    return [`${host} is served by [${modes.join()}], which is not ${hosted.mode}`];
  });
}

/** What is not as it should be of the control plane's Service that may be topology-aware. */
export function serviceFaults(hosted: Hosted): readonly string[] {
  const service = findIn(hosted.cluster, "Service", `${hosted.namespace}/etcd-main-client`);
  const enabled = hosted.spec.topologyAware?.enabled === true;
  const wanted = enabled ? "PreferSameZone" : undefined;
  const has = service?.spec?.trafficDistribution;
  return service === undefined || has === wanted
    ? []
    : [`Service etcd-main-client has ${String(has)}, not ${String(wanted)}`];
}

const isRouted = ({ expected, mode }: Hosted): boolean =>
  expected.programmed === "True" && mode === "L7";

/** What is not as it should be of the route ConfigMap: it names what is served in L7. */
export function routeFaults(hosted: Hosted): readonly string[] {
  const place = `${hosted.namespace}/istio-internal-load-balancing`;
  const named = (findIn(hosted.cluster, "ConfigMap", place)?.data?.hosts ?? "").split(",");
  return hosted.spec.hosts
    .filter((host) => named.includes(host) !== isRouted(hosted))
    .map((host) => `the route ConfigMap ${isRouted(hosted) ? "lacks" : "has"} ${host}`);
}

interface Kubeconfig {
  readonly clusters: readonly { readonly cluster: { readonly server: string } }[];
}

/** What is not as it should be of the kubeconfigs: they lead where clients are to go. */
export function kubeconfigFaults(hosted: Hosted): readonly string[] {
  if (hosted.expected.programmed === "False") return [];
  const { namespace, spec } = hosted;
  const wanted = isRouted(hosted)
    ? `https://${spec.hosts[0] ?? ""}`
    : `https://kube-apiserver.${namespace}.svc`;
  return (spec.clients?.kubeconfigSecrets ?? []).flatMap((name) => {
    const { kubeconfig } = decode(findIn(hosted.cluster, "Secret", `${namespace}/${name}`));
    const server =
      kubeconfig === undefined
        ? "nowhere"
        : (parse(kubeconfig) as Kubeconfig).clusters[0]?.cluster.server;
    return server === wanted ? [] : [`kubeconfig ${name} leads to ${server ?? ""}, not ${wanted}`];
  });
}
