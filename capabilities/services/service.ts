import type { KubernetesObject } from "../../lib/api";

/** A core/v1 Service as it is on the wire, as far as it matters here. */
export interface Service extends KubernetesObject {
  readonly spec?: {
    readonly type?: string;
    readonly trafficDistribution?: string;
  };
}
