import { decideRouting } from "../../../capabilities/pods/decide";
import type { KubernetesObject } from "../../../lib/api";
import { ROUTE_CONFIG_MAP } from "../../../lib/domain/names";
import type { ConfigMap } from "../../../lib/domain/route-config";
import type { Pod } from "../../../lib/domain/routed-pods";
import type { RouteService as Service } from "../../../lib/domain/routes";
import type { CaseAdapter, Given } from "../runner";

/** The objects of a kind and name, of which the caller knows what they are. */
function find({ objects }: Given, kind: string, name: string): readonly KubernetesObject[] {
  return objects.filter((object) => object.kind === kind && object.metadata.name === name);
}

function parsePod(when: unknown): Pod {
  const pod = when as Partial<Pod> | null;
  if (pod?.kind !== "Pod" || pod.metadata === undefined || pod.spec === undefined) {
    throw new Error("when.yaml: the subject is a Pod with metadata and spec.");
  }
  return pod as Pod;
}

/** `when.yaml` is the Pod that is created, in the World's `namespace` where it has none of its own. */
export const adapter: CaseAdapter = {
  capability: "pods",
  kinds: ["ConfigMap", "Service"],
  worldKeys: ["namespace"],
  run(given, when) {
    const pod = parsePod(when);
    const namespace = pod.metadata.namespace ?? given.world.namespace;
    if (typeof namespace !== "string") throw new Error("the Pod needs a namespace.");
    const decision = decideRouting(pod, {
      namespace,
      configMap: find(given, "ConfigMap", ROUTE_CONFIG_MAP).find(
        ({ metadata }) => metadata.namespace === namespace,
      ) as ConfigMap | undefined,
      service: (of, name) =>
        find(given, "Service", name).find(({ metadata }) => metadata.namespace === of) as
          | Service
          | undefined,
    });
    if (decision.kind === "deny") {
      return { verdict: "denied", reason: decision.reason, message: decision.message };
    }
    const warnings = decision.warnings.length > 0 ? decision.warnings : undefined;
    return decision.kind === "keep"
      ? { verdict: "unchanged", reason: decision.reason, warnings }
      : { verdict: "changed", pod: decision.pod, warnings };
  },
};
