/** One entry of a Pod's `spec.hostAliases`. */
export interface HostAlias {
  readonly ip: string;
  readonly hostnames?: readonly string[];
}

/** One source of a projected volume; only what decides about routing is typed. */
export interface ProjectedSource {
  readonly secret?: { readonly name: string };
  readonly [source: string]: unknown;
}

/** A volume of a generated Pod; only what decides about routing is typed. */
export interface Volume {
  readonly name: string;
  readonly secret?: { readonly secretName: string; readonly optional?: boolean };
  readonly projected?: { readonly sources: readonly ProjectedSource[] };
  readonly [source: string]: unknown;
}

/** A generated Pod, as small as an API server accepts it. */
export interface Pod {
  readonly apiVersion: "v1";
  readonly kind: "Pod";
  readonly metadata: {
    readonly name?: string;
    readonly generateName?: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec: {
    readonly containers: readonly object[];
    readonly volumes?: readonly Volume[];
    readonly hostAliases?: readonly HostAlias[];
    readonly [field: string]: unknown;
  };
}

/** A Namespace, a ConfigMap or a Service that a scenario is made of. */
export interface StateObject {
  readonly apiVersion: "v1";
  readonly kind: "Namespace" | "ConfigMap" | "Service";
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
  };
  readonly data?: Readonly<Record<string, string>>;
  readonly spec?: Readonly<Record<string, unknown>>;
}

/** The state that a Pod meets: what a webhook can read when the Pod is created. */
export interface RouteState {
  /** The data of the ConfigMap `istio-internal-load-balancing`; undefined where there is none. */
  readonly config: Readonly<Record<string, string>> | undefined;
  /** The cluster IPs of the Services by `<namespace>/<name>`, as in `spec.clusterIPs`. */
  readonly clusterIPs: ReadonlyMap<string, readonly string[]>;
}

/** What a Pod's creation comes to: the whole resulting host aliases and labels. */
export interface Effect {
  readonly hostAliases: readonly HostAlias[] | null;
  readonly labels: Readonly<Record<string, string>> | null;
}

/** The answer of a webhook, without its patch. */
export interface Verdict {
  readonly allowed: boolean;
  readonly code: number | null;
  readonly message: string;
}

/** One line of recordings.jsonl. */
export interface Recording {
  readonly scenario: string;
  readonly pod: Pod;
  readonly verdict: Verdict;
  readonly effect: Effect;
}
