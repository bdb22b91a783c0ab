import type { HostedAPIServer, KubernetesObject, PartialObjectMetadata } from "../../lib/api";
import { keyOf } from "../../lib/domain/keys";
import { FINALIZER_CREDENTIALS } from "../../lib/domain/names";
import { refOfGateway, type Acceptance } from "./accept";
import { ownStatus } from "./report";
import type { Watched } from "./watch-index";

/** An object that is looked at, and its version; undefined: it does not exist. */
export type Version = readonly [object: Watched, resourceVersion: string | undefined];

/** Everything that a plan is made from, but for time. */
export interface PlanInputs {
  /** Its spec counts as of `planned`, and its status and finalizers as they are now. */
  readonly hapi: HostedAPIServer;
  /** The version that the sources were read for. */
  readonly planned: HostedAPIServer;
  readonly acceptance: Acceptance;
  /** The control-plane Namespace and the gateway's. */
  readonly namespaces: readonly (PartialObjectMetadata | undefined)[];
  /** The sources, and what is in the way of a Secret that is to be made. */
  readonly looked: readonly Version[];
  /** The Secrets with this HostedAPIServer's labels. */
  readonly derived: readonly KubernetesObject[];
  /** `namespace/name` of the Secrets that the gateway's configuration refers to. */
  readonly references: ReadonlySet<string>;
}

/** Only in a deletion does it matter whose else finalizers there are. */
function finalizerFacts({ metadata }: HostedAPIServer): unknown {
  const { finalizers = [], deletionTimestamp } = metadata;
  return deletionTimestamp === undefined ? finalizers.includes(FINALIZER_CREDENTIALS) : finalizers;
}

/** While consent is given, a Secret that status names stays in any case, whether it is referred to or not. */
function referenceFacts({ hapi, acceptance, references }: PlanInputs): readonly string[] {
  const { gatewayRef, credentials = {} } = hapi.status ?? {};
  const current = new Set(
    Object.values(credentials).map((name: string) => `${gatewayRef?.namespace ?? ""}/${name}`),
  );
  return [...references]
    .filter((reference) => !acceptance.accepted || !current.has(reference))
    .sort();
}

const byFirst = ([a]: Version, [b]: Version): number => (a < b ? -1 : 1);

/**
 * What a plan is made from, as a text: while it is the same, so is the plan, and nothing has to be read. Modifies and
 * throws nothing.
 */
export function describeInputs(inputs: PlanInputs): string {
  const { hapi, planned, acceptance, namespaces, looked, derived } = inputs;
  const { uid, generation, deletionTimestamp } = planned.metadata;
  return JSON.stringify([
    [uid, generation, deletionTimestamp, finalizerFacts(hapi), ownStatus(hapi)],
    acceptance.accepted ? refOfGateway(acceptance.gateway) : acceptance,
    namespaces.map((namespace) => [namespace?.metadata.uid, namespace?.metadata.deletionTimestamp]),
    [...looked].sort(byFirst),
    derived
      .map((secret): Version => [keyOf(secret), secret.metadata.resourceVersion])
      .sort(byFirst),
    referenceFacts(inputs),
  ]);
}
