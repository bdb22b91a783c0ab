import type { AnyObject } from "../api";
import { decode } from "../objects";
import type { ObservedCluster, ObservedKind } from "./observed";

/** Names a source of a HostedAPIServer's. */
export interface SourceRef {
  readonly secretName?: string;
  readonly configMapName?: string;
}

/** The part of a HostedAPIServer's spec that the oracle goes by. */
interface HostedSpec {
  readonly hosts: readonly string[];
  readonly loadBalancing?: string;
  readonly certificates: {
    readonly server: SourceRef;
    readonly serverCA: SourceRef;
    readonly clientCA?: SourceRef;
    readonly proxyClient?: { readonly issuer?: SourceRef; readonly certificate?: SourceRef };
  };
  readonly topologyAware?: { readonly enabled?: boolean };
  readonly clients?: { readonly kubeconfigSecrets?: readonly string[] };
}

/** What the oracle is told, since nothing in the cluster says it. */
export interface Expectations {
  /** Of HostedAPIServers: whether there is a gateway that can be seen to serve. */
  readonly programmed: "True" | "False";
  /** Whether Istio's kinds are served. */
  readonly istio: "served" | "absent";
  /** By uid: objects that look like fairlead's and are somebody else's. */
  readonly lookalikes: ReadonlySet<string>;
}

/** A HostedAPIServer and the cluster around it. */
export interface Hosted {
  readonly object: AnyObject;
  /** `namespace/name`. */
  readonly place: string;
  readonly namespace: string;
  readonly name: string;
  readonly spec: HostedSpec;
  readonly mode: "L7" | "L4";
  /** As its status has it. */
  readonly credentials: { readonly server: string; readonly proxyClient: string };
  readonly gatewayNamespace: string;
  readonly cluster: ObservedCluster;
  readonly expected: Expectations;
}

/** `namespace/name` of an object. */
export function placeOf({ metadata }: AnyObject): string {
  return `${metadata.namespace ?? ""}/${metadata.name ?? ""}`;
}

/** Whether an object says that it is fairlead's. */
export function isMarked({ metadata }: AnyObject): boolean {
  return metadata.labels?.["app.kubernetes.io/managed-by"] === "fairlead";
}

/** `namespace/name` of what an object says that it was made for. */
export function markedFor({ metadata }: AnyObject): string {
  const { labels = {} } = metadata;
  return `${labels["fairlead.dev/namespace"] ?? ""}/${labels["fairlead.dev/name"] ?? ""}`;
}

/** Puts a HostedAPIServer into its cluster. */
export function toHosted(
  object: AnyObject,
  cluster: ObservedCluster,
  expected: Expectations,
): Hosted {
  const { namespace = "", name = "" } = object.metadata;
  const spec = object.spec as unknown as HostedSpec;
  const { credentials, gatewayRef } = (object.status ?? {}) as {
    credentials?: { server?: string; proxyClient?: string };
    gatewayRef?: { namespace?: string };
  };
  return {
    object,
    place: placeOf(object),
    namespace,
    name,
    spec,
    mode: spec.loadBalancing === "L4" ? "L4" : "L7",
    credentials: {
      server: credentials?.server ?? "",
      proxyClient: credentials?.proxyClient ?? "",
    },
    gatewayNamespace: gatewayRef?.namespace ?? "",
    cluster,
    expected,
  };
}

/** An object of the cluster; undefined where there is none. */
export function findIn(
  cluster: ObservedCluster,
  kind: ObservedKind,
  place: string,
): AnyObject | undefined {
  return cluster[kind].find((object) => placeOf(object) === place);
}

/** The objects of a kind that were made for a HostedAPIServer. */
export function ownOf(hosted: Hosted, kind: ObservedKind): readonly AnyObject[] {
  const { cluster, expected, place } = hosted;
  return cluster[kind].filter(
    (object) =>
      isMarked(object) &&
      markedFor(object) === place &&
      !expected.lookalikes.has(object.metadata.uid ?? ""),
  );
}

/** What a source holds, as texts; nothing where it does not exist. */
export function sourceOf(hosted: Hosted, ref: SourceRef): Readonly<Record<string, string>> {
  const { cluster, namespace } = hosted;
  if (ref.configMapName !== undefined) {
    return findIn(cluster, "ConfigMap", `${namespace}/${ref.configMapName}`)?.data ?? {};
  }
  return decode(findIn(cluster, "Secret", `${namespace}/${ref.secretName ?? ""}`));
}
