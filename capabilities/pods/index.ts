import { a, Capability } from "pepr";
import { cloneShallowly, type AdmissionNotes, type Logger, type Metrics } from "../../lib/cluster";
import { routingOf, type Pod } from "../../lib/domain/routed-pods";
import { decideRouting } from "./decide";
import type { Routes } from "./routes";

export { Routes } from "./routes";

/** What the capability is made of. */
export interface PodsOptions {
  readonly routes: Routes;
  readonly notes: AdmissionNotes;
  readonly log: Logger;
  readonly metrics?: Metrics | undefined;
}

/** What became of a Pod. */
interface Told {
  readonly action: "change" | "keep" | "deny";
  readonly reason: string;
}

/** The name of a Pod that its owner leaves to the API server is not known yet. */
function nameOf({ metadata }: Pod): string {
  const { name, generateName = "" } = metadata as { name?: string; generateName?: string };
  return name ?? `${generateName}…`;
}

/**
 * The capability that routes new Pods to their hosted API server. It asks the API server nothing; a Pod that must not
 * be created, or whose route is not known in time, is denied by an error whose message says what to do.
 */
export function podsCapability({ routes, notes, log, metrics }: PodsOptions): Capability {
  const capability = new Capability({
    name: "pods",
    description:
      "Routes the Pods of hosted control planes to their API server through the gateway.",
  });
  const tell = (pod: Pod, namespace: string, { action, reason }: Told): void => {
    metrics?.admissionDecided({ capability: "pods", action, reason });
    if (action === "keep") return;
    const about = { capability: "pods", key: `${namespace}/${nameOf(pod)}`, action, reason };
    if (action === "deny") log.warn(about, "denied");
    else log.info(about, "changed");
  };
  capability
    .When(a.Pod)
    .IsCreated()
    .Mutate(async (request) => {
      const { namespace = "", subResource = "", uid } = request.Request;
      // The binding or the eviction of a Pod is a creation too.
      if (subResource !== "") return;
      const pod = request.Raw as unknown as Pod;
      const routing = routingOf(pod);
      if (routing !== "Routed") {
        tell(pod, namespace, { action: "keep", reason: routing });
        return;
      }
      if (!(await routes.ready(namespace))) {
        tell(pod, namespace, { action: "deny", reason: "RoutesUnknown" });
        const refusal = routes.refusal(namespace);
        throw new Error(
          refusal === undefined
            ? `fairlead: what Namespace ${namespace} says about routes has not been read yet: try again in a few seconds.`
            : `fairlead: what Namespace ${namespace} says about routes can't be read; bind fairlead's roles there. The API server says: ${refusal}`,
        );
      }
      const decision = decideRouting(pod, routes.inputs(namespace));
      const reason = decision.kind === "change" ? "Routed" : decision.reason;
      tell(pod, namespace, { action: decision.kind, reason });
      if (decision.kind === "deny") throw new Error(decision.message);
      for (const warning of decision.warnings) notes.warn(uid, warning);
      if (decision.kind === "change") {
        request.Raw = cloneShallowly(decision.pod) as unknown as typeof request.Raw;
      }
    });
  return capability;
}
