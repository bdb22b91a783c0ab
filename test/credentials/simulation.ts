import type { HostedAPIServer, InternalGateway, KubernetesObject } from "../../lib/api";
import { decideAcceptance, type AcceptanceWorld } from "../../capabilities/credentials/accept";
import { ClaimIndex } from "../../capabilities/credentials/index-of-claims";
import { issueClientCertificate } from "../../capabilities/credentials/issue";
import type { CredentialsSettings, Observed } from "../../capabilities/credentials/observed";
import {
  planCredentials,
  type ApplyAction,
  type CredentialsPlan,
  type SettleAction,
} from "../../capabilities/credentials/plan";
import { resolve } from "../../capabilities/credentials/resolve";
import { toManifest, type DesiredSecret } from "../../capabilities/credentials/secrets";
import { sourceKey, type Secret } from "../../capabilities/credentials/sources";
import { ANNOTATION_SUPERSEDED_AT, FINALIZER_CREDENTIALS } from "../../lib/domain/names";

/** A cluster in memory: plans are carried out on its objects as an API server would. */
export interface SimulatedCluster {
  readonly objects: readonly KubernetesObject[];
  /** `namespace/name` of Secrets that a gateway's configuration refers to. */
  readonly references: ReadonlySet<string>;
  readonly settings: CredentialsSettings;
  /** Named by each write, so that a later one is told from an earlier one. */
  readonly nextVersion: () => string;
}

/** An action that was carried out, with the Secret that it wrote. */
export type Done =
  | { readonly action: ApplyAction; readonly written?: Secret }
  | { readonly action: SettleAction };

/** How a HostedAPIServer came to rest. */
export interface Rest {
  readonly done: readonly Done[];
  readonly plan: Extract<CredentialsPlan, { step: "settle" }>;
  readonly objects: readonly KubernetesObject[];
}

const MAX_ROUNDS = 4;

/** Whether two objects are versions of one. */
export function isSameObject(a: KubernetesObject, b: KubernetesObject): boolean {
  return (
    a.kind === b.kind &&
    a.metadata.name === b.metadata.name &&
    a.metadata.namespace === b.metadata.namespace
  );
}

/** The object of a name; undefined when there is none. */
export function findObject<T extends KubernetesObject>(
  objects: readonly T[],
  { kind, namespace, name }: { kind: string; namespace?: string; name: string },
): T | undefined {
  const metadata = { name, ...(namespace === undefined ? {} : { namespace }) };
  return objects.find((object) => isSameObject(object, { apiVersion: "", kind, metadata }));
}

/** The objects with one in place of the one of its name, or added. */
export function putObject(
  objects: readonly KubernetesObject[],
  object: KubernetesObject,
): readonly KubernetesObject[] {
  return [...objects.filter((other) => !isSameObject(other, object)), object];
}

const withoutObject = (
  objects: readonly KubernetesObject[],
  object: KubernetesObject,
): readonly KubernetesObject[] => objects.filter((other) => !isSameObject(other, object));

interface Kinds {
  readonly HostedAPIServer: HostedAPIServer;
  readonly InternalGateway: InternalGateway;
  readonly Secret: Secret;
}

function ofKind<K extends keyof Kinds>(
  objects: readonly KubernetesObject[],
  kind: K,
): readonly Kinds[K][] {
  return objects.filter((object): object is Kinds[K] => object.kind === kind);
}

/** The lookups of an acceptance over objects. */
export function acceptanceWorld(objects: readonly KubernetesObject[]): AcceptanceWorld {
  const claims = new ClaimIndex();
  for (const hapi of ofKind(objects, "HostedAPIServer")) claims.put(hapi);
  const gateways = ofKind(objects, "InternalGateway");
  return {
    gateway: (ref) => findObject(gateways, { kind: "InternalGateway", ...ref }),
    gateways: () => gateways,
    namespace: (name) => findObject(objects, { kind: "Namespace", name }),
    withHost: (host) => claims.withHost(host),
    inNamespace: (namespace) => claims.inNamespace(namespace),
  };
}

/** What the plan is made from at a moment. */
export function observe(cluster: SimulatedCluster, hapi: HostedAPIServer, nowMs: number): Observed {
  const { objects, references, settings } = cluster;
  const sources = new Map(
    objects
      .filter(({ kind }) => kind === "Secret" || kind === "ConfigMap")
      .map((object) => [
        sourceKey({
          kind: object.kind as "Secret",
          namespace: object.metadata.namespace ?? "",
          name: object.metadata.name,
        }),
        object as Secret,
      ]),
  );
  const acceptance = decideAcceptance(hapi, acceptanceWorld(objects));
  if (!acceptance.accepted && acceptance.consent === "unreachable") {
    throw new Error("the simulated cluster is not restricted to namespaces");
  }
  return {
    nowMs,
    hapi,
    acceptance,
    resolution: resolve({ hapi, sources, nowMs }),
    namespace: findObject(objects, { kind: "Namespace", name: hapi.metadata.namespace ?? "" }),
    namespaceNamed: (name) => findObject(objects, { kind: "Namespace", name }),
    secrets: ofKind(objects, "Secret").map((secret) => ({ type: "Opaque", ...secret })),
    references,
    settings,
  };
}

async function makeSecret(desired: DesiredSecret, observed: Observed): Promise<Secret> {
  const owner = { hapi: observed.hapi, namespace: observed.namespace?.metadata };
  const { content } = desired;
  if (content.kind === "known") return toManifest(desired, owner, content.values);
  const issued = await issueClientCertificate(content.request);
  return toManifest(desired, owner, {
    cert: issued.certificatePem,
    key: issued.privateKeyPem,
    cacert: content.bundle.pem,
  });
}

function patchAnnotation(secret: KubernetesObject, since: string | undefined): KubernetesObject {
  const { [ANNOTATION_SUPERSEDED_AT]: _mark, ...annotations } = secret.metadata.annotations ?? {};
  const next =
    since === undefined ? annotations : { ...annotations, [ANNOTATION_SUPERSEDED_AT]: since };
  return { ...secret, metadata: { ...secret.metadata, annotations: next } };
}

function withFinalizers(hapi: HostedAPIServer, finalizers: readonly string[]): HostedAPIServer {
  return { ...hapi, metadata: { ...hapi.metadata, finalizers } };
}

interface State {
  objects: readonly KubernetesObject[];
  hapi: HostedAPIServer;
}

async function carryOut(
  state: State,
  action: ApplyAction,
  context: { observed: Observed; cluster: SimulatedCluster },
): Promise<Done> {
  const { observed, cluster } = context;
  if (action.kind === "add-finalizer") {
    const finalizers = [...(state.hapi.metadata.finalizers ?? []), FINALIZER_CREDENTIALS];
    state.hapi = withFinalizers(state.hapi, finalizers);
    return { action };
  }
  if (action.kind === "unmark") {
    state.objects = putObject(state.objects, patchAnnotation(action.existing, undefined));
    return { action };
  }
  const written = await makeSecret(action.secret, observed);
  const resourceVersion = cluster.nextVersion();
  const creationTimestamp = new Date(observed.nowMs).toISOString();
  const metadata = { ...written.metadata, uid: `uid-${resourceVersion}`, resourceVersion };
  const stored = { ...written, metadata: { ...metadata, creationTimestamp } };
  state.objects = putObject(state.objects, stored);
  return { action, written };
}

function settle(state: State, action: SettleAction): Done {
  if (action.kind === "delete") {
    state.objects = withoutObject(state.objects, action.secret);
  } else if (action.kind === "mark-superseded") {
    state.objects = putObject(state.objects, patchAnnotation(action.secret, action.since));
  } else {
    const { finalizers = [] } = state.hapi.metadata;
    const left = finalizers.filter((each) => each !== FINALIZER_CREDENTIALS);
    state.hapi = withFinalizers(state.hapi, left);
  }
  return { action };
}

/**
 * Plans and carries out until nothing is left to do.
 * @throws Error when that never comes, or when planning once more finds something to do.
 */
export async function bringToRest(
  cluster: SimulatedCluster,
  subject: HostedAPIServer,
  nowMs: number,
): Promise<Rest> {
  const state: State = { objects: cluster.objects, hapi: subject };
  const done: Done[] = [];
  const look = (): Observed => {
    state.objects = putObject(state.objects, state.hapi);
    return observe({ ...cluster, objects: state.objects }, state.hapi, nowMs);
  };
  for (let round = 0; round < MAX_ROUNDS; round += 1) {
    const observed = look();
    const plan = planCredentials(observed);
    if (plan.step === "settle") {
      if (plan.status !== undefined) {
        const others = (state.hapi.status?.conditions ?? []).filter(
          ({ type }) => plan.status?.conditions.every((own) => own.type !== type) === true,
        );
        const { conditions, ...fields } = plan.status;
        const { loadBalancing, observedGeneration } = state.hapi.status ?? {};
        state.hapi = {
          ...state.hapi,
          status: {
            ...(loadBalancing === undefined ? {} : { loadBalancing }),
            ...(observedGeneration === undefined ? {} : { observedGeneration }),
            ...fields,
            conditions: [...others, ...conditions],
          },
        };
      }
      for (const action of plan.actions) done.push(settle(state, action));
      expectRest(planCredentials(look()));
      return { done, plan, objects: state.objects };
    }
    for (const action of plan.actions) {
      done.push(await carryOut(state, action, { observed, cluster }));
    }
  }
  throw new Error("planning never comes to rest");
}

function expectRest(plan: CredentialsPlan): void {
  const isQuiet = plan.step === "settle" && plan.status === undefined && plan.actions.length === 0;
  if (isQuiet) return;
  const what =
    plan.step === "settle" && plan.actions.length === 0
      ? "another status"
      : plan.actions.map(({ kind }) => kind).join(", ");
  throw new Error(`planning again finds something to do: ${what}`);
}
