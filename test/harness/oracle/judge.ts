import type { AnyObject } from "../api";
import { credentialFaults } from "./credentials";
import { istioFaults, kubeconfigFaults, modeFaults, routeFaults, serviceFaults } from "./exposure";
import { isMarked, markedFor, placeOf, toHosted, type Expectations, type Hosted } from "./hosted";
import { madeKinds, type ObservedCluster } from "./observed";

// What is to be is said anew here, from the documentation and without the product's own code: a fault that both share
// would not be found.

interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly observedGeneration?: number;
}

const FINALIZERS = ["fairlead.dev/credentials", "fairlead.dev/exposure"];

function conditionFaults({ object, expected }: Hosted): readonly string[] {
  const { programmed } = expected;
  const wanted: Readonly<Record<string, string>> = {
    Accepted: "True",
    ResolvedRefs: "True",
    CredentialsSynced: "True",
    Programmed: programmed,
    Ready: programmed,
  };
  const conditions = (object.status?.conditions ?? []) as readonly Condition[];
  return Object.entries(wanted).flatMap(([type, status]) => {
    const seen = conditions.find((condition) => condition.type === type);
    if (seen?.status !== status) {
      return [`${type} is ${seen?.status ?? "absent"} (${seen?.reason ?? ""}), not ${status}`];
    }
    const isCurrent = seen.observedGeneration === object.metadata.generation;
    return isCurrent ? [] : [`${type} is about an older generation`];
  });
}

function metadataFaults({ object }: Hosted): readonly string[] {
  const { deletionTimestamp, finalizers = [] } = object.metadata;
  if (deletionTimestamp !== undefined) return ["is still being deleted"];
  return FINALIZERS.filter(
    (finalizer) => finalizers.filter((each) => each === finalizer).length !== 1,
  ).map((finalizer) => `has finalizer ${finalizer} not just once`);
}

function hostedFaults(hosted: Hosted): readonly string[] {
  const parts = [
    metadataFaults,
    conditionFaults,
    credentialFaults,
    istioFaults,
    modeFaults,
    serviceFaults,
    routeFaults,
    kubeconfigFaults,
  ];
  return parts.flatMap((look) => look(hosted)).map((fault) => `${hosted.place}: ${fault}`);
}

function gatewayFaults(
  { metadata, status }: AnyObject,
  cluster: ObservedCluster,
  { istio, programmed }: Expectations,
): readonly string[] {
  const place = placeOf({ metadata } as AnyObject);
  const { conditions = [], attachedAPIServers } = (status ?? {}) as {
    conditions?: readonly Condition[];
    attachedAPIServers?: number;
  };
  const own = (kind: "Service" | "EnvoyFilter" | "Secret") =>
    cluster[kind].filter((object) => isMarked(object) && markedFor(object) === place).length;
  const shared = istio === "served" ? 1 : 0;
  const conditionOf = (type: string) => conditions.find((condition) => condition.type === type);
  const rules: readonly (readonly [boolean, string])[] = [
    [metadata.deletionTimestamp === undefined, "is still being deleted"],
    [conditionOf("Accepted")?.status === "True", "is not accepted"],
    [conditionOf("Programmed")?.status === programmed, `Programmed is not ${programmed}`],
    [own("Service") === 1, `has ${own("Service")} internal Services`],
    [own("EnvoyFilter") === shared, `has ${own("EnvoyFilter")} EnvoyFilters`],
    [own("Secret") === shared, `has ${own("Secret")} route Secrets`],
    [attachedAPIServers === cluster.HostedAPIServer.length, "does not count who is attached"],
  ];
  return rules.flatMap(([holds, fault]) => (holds ? [] : [`${place}: ${fault}`]));
}

/** Objects that say that they were made for somebody who does not exist. */
function orphans(cluster: ObservedCluster, { lookalikes }: Expectations): readonly string[] {
  const owners = new Set([...cluster.HostedAPIServer, ...cluster.InternalGateway].map(placeOf));
  return madeKinds.flatMap((kind) =>
    cluster[kind]
      .filter((object) => isMarked(object) && !lookalikes.has(object.metadata.uid ?? ""))
      .filter((object) => !owners.has(markedFor(object)))
      .map((object) => `${kind} ${placeOf(object)} is nobody's: ${markedFor(object)} is gone`),
  );
}

/**
 * Judges whether fairlead has converged: whether everything that it makes is there, as the sources and specs say, and
 * nothing else.
 * @returns What is not as it should be, a sentence each; of a Secret's values it only says that they differ.
 */
export function judge(cluster: ObservedCluster, expected: Expectations): readonly string[] {
  return [
    ...cluster.InternalGateway.flatMap((gateway) => gatewayFaults(gateway, cluster, expected)),
    ...cluster.HostedAPIServer.flatMap((object) =>
      hostedFaults(toHosted(object, cluster, expected)),
    ),
    ...orphans(cluster, expected),
  ];
}
