import {
  CONNECTION_LOAD_BALANCER,
  REQUEST_LOAD_BALANCER,
} from "../../capabilities/exposure/resources/load-balancing";
import type { EnvoyConfig } from "../../lib/api";

/** The parts of an Envoy cluster that tell how it balances. */
export interface BalancedCluster {
  readonly name: string;
  /** Left out by Envoy when it is ROUND_ROBIN. */
  readonly lb_policy?: string;
  readonly least_request_lb_config?: { readonly choice_count?: number };
  readonly round_robin_lb_config?: { readonly slow_start_config?: unknown };
  readonly load_balancing_policy?: unknown;
}

/** A way to balance that is measured. */
export interface Algorithm {
  /** Of a DestinationRule, without its `localityLbSetting`, which is the product's. */
  readonly loadBalancer: EnvoyConfig;
  /** What a DestinationRule can't say, merged into the clusters. */
  readonly clusterPatch?: EnvoyConfig;
  /** Of watches, which go to the API servers by Envoy clusters of their own then. L7 alone. */
  readonly watches?: EnvoyConfig;
  /** Whether a gateway's cluster balances so. */
  readonly isSeen: (cluster: BalancedCluster) => boolean;
}

const isRoundRobin = ({ lb_policy, load_balancing_policy }: BalancedCluster): boolean =>
  (lb_policy ?? "ROUND_ROBIN") === "ROUND_ROBIN" && load_balancing_policy === undefined;

const isLeastRequest = ({ lb_policy, load_balancing_policy }: BalancedCluster): boolean =>
  lb_policy === "LEAST_REQUEST" && load_balancing_policy === undefined;

const isSlowStarting = ({ round_robin_lb_config: config }: BalancedCluster): boolean =>
  config?.slow_start_config !== undefined;

const choiceCountOf = ({ least_request_lb_config: config }: BalancedCluster): number =>
  config?.choice_count ?? 2;

const slowStartSeconds = 60;

/** What is compared, by the names of `--algorithms`. */
export const ALGORITHMS = {
  ROUND_ROBIN: {
    loadBalancer: { simple: "ROUND_ROBIN" },
    isSeen: (cluster) => isRoundRobin(cluster) && !isSlowStarting(cluster),
  },
  "ROUND_ROBIN+slow-start": {
    loadBalancer: { simple: "ROUND_ROBIN", warmup: { duration: `${slowStartSeconds}s` } },
    isSeen: (cluster) => isRoundRobin(cluster) && isSlowStarting(cluster),
  },
  "ROUND_ROBIN+watches-apart": {
    loadBalancer: { simple: "ROUND_ROBIN" },
    watches: { simple: "LEAST_REQUEST" },
    isSeen: (cluster) => isRoundRobin(cluster) && !isSlowStarting(cluster),
  },
  RANDOM: {
    loadBalancer: { simple: "RANDOM" },
    isSeen: ({ lb_policy }) => lb_policy === "RANDOM",
  },
  LEAST_REQUEST: {
    loadBalancer: { simple: "LEAST_REQUEST" },
    isSeen: (cluster) => isLeastRequest(cluster) && choiceCountOf(cluster) === 2,
  },
  "LEAST_REQUEST+4-choices": {
    loadBalancer: { simple: "LEAST_REQUEST" },
    clusterPatch: { least_request_lb_config: { choice_count: 4 } },
    isSeen: (cluster) => isLeastRequest(cluster) && choiceCountOf(cluster) === 4,
  },
  "LEAST_REQUEST+full-scan": {
    loadBalancer: { simple: "LEAST_REQUEST" },
    clusterPatch: {
      load_balancing_policy: {
        policies: [
          {
            typed_extension_config: {
              name: "envoy.load_balancing_policies.least_request",
              typed_config: {
                "@type":
                  "type.googleapis.com/envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest",
                selection_method: "FULL_SCAN",
              },
            },
          },
        ],
      },
    },
    isSeen: ({ load_balancing_policy }) => load_balancing_policy !== undefined,
  },
} as const satisfies Readonly<Record<string, Algorithm>>;

export type AlgorithmName = keyof typeof ALGORITHMS;

/** What fairlead configures: for requests (L7) and for connections (L4). */
export const CHOSEN: Readonly<Record<"L7" | "L4", AlgorithmName>> = {
  L7: REQUEST_LOAD_BALANCER.simple,
  L4: CONNECTION_LOAD_BALANCER.simple,
};

/** Whether it is the name of an algorithm. */
export function isAlgorithmName(name: string): name is AlgorithmName {
  return Object.hasOwn(ALGORITHMS, name);
}
