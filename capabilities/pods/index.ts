import { a, Capability } from "pepr";
import type { AdmissionNotes } from "../../lib/cluster";
import { routingOf, type Pod } from "../../lib/domain/routed-pods";
import { decideRouting } from "./decide";
import type { Routes } from "./routes";

export { Routes } from "./routes";

/** What the capability is made of. */
export interface PodsOptions {
  readonly routes: Routes;
  readonly notes: AdmissionNotes;
}

/**
 * The capability that routes new Pods to their hosted API server. It asks the API server nothing; a Pod that must not
 * be created, or whose route is not known in time, is denied by an error whose message says what to do.
 */
export function podsCapability({ routes, notes }: PodsOptions): Capability {
  const capability = new Capability({
    name: "pods",
    description:
      "Routes the Pods of hosted control planes to their API server through the gateway.",
  });
  capability
    .When(a.Pod)
    .IsCreated()
    .Mutate(async (request) => {
      const { namespace = "", subResource = "", uid } = request.Request;
      // The binding or the eviction of a Pod is a creation too.
      if (subResource !== "") return;
      const pod = request.Raw as unknown as Pod;
      if (routingOf(pod) !== "Routed") return;
      if (!(await routes.ready(namespace))) {
        const refusal = routes.refusal(namespace);
        throw new Error(
          refusal === undefined
            ? `fairlead: what Namespace ${namespace} says about routes has not been read yet: try again in a few seconds.`
            : `fairlead: what Namespace ${namespace} says about routes can't be read; bind fairlead's roles there. The API server says: ${refusal}`,
        );
      }
      const decision = decideRouting(pod, routes.inputs(namespace));
      if (decision.kind === "deny") throw new Error(decision.message);
      for (const warning of decision.warnings) notes.warn(uid, warning);
      if (decision.kind === "change") request.Raw = decision.pod as unknown as typeof request.Raw;
    });
  return capability;
}
