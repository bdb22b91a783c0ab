import type {
  Deployment,
  HostedAPIServer,
  InternalGateway,
  KubernetesObject,
  PartialObjectMetadata,
} from "../../lib/api";
import {
  ApiError,
  describeError,
  isForbidden,
  isNotFound,
  type Collection,
  type KubernetesClient,
  type ObjectRef,
} from "../../lib/cluster";
import { API_VERSION } from "../../lib/domain/names";
import {
  SYSTEM_NAMESPACE,
  WEBHOOK_CONFIGURATION,
  WEBHOOK_SERVICE,
  WEBHOOK_TLS_SECRET,
} from "../../lib/domain/webhook";
import { ADMISSION, WATCH } from "../../deploy/names";
import { definitionNames } from "./installation/definitions";
import type {
  EndpointSlice,
  Look,
  Observed,
  Rbac,
  Role,
  RoleBinding,
  ServedDefinition,
  WebhookConfiguration,
} from "./observed";

/** What to look at. */
export interface Question {
  readonly client: KubernetesClient;
  readonly nowMs: number;
  readonly version: string;
  readonly namespace: string | undefined;
  readonly withInstallation: boolean;
}

const ADMISSION_REGISTRATION = "admissionregistration.k8s.io/v1";
const RBAC = "rbac.authorization.k8s.io/v1";
const policyNames = ["fairlead-guard-gateways", "fairlead-guard-writes"];
const notAsked: Look<never> = { kind: "unseen", why: "it was not asked for" };

/** Reads, and tells what came of it; only where the API server can't be reached is an error thrown. */
async function look<T>(read: () => Promise<T | undefined>): Promise<Look<T>> {
  try {
    const value = await read();
    return value === undefined ? { kind: "absent" } : { kind: "seen", value };
  } catch (error) {
    if (isNotFound(error)) return { kind: "absent" };
    if (!(error instanceof ApiError)) throw error;
    const why = isForbidden(error) ? `you may not (${describeError(error)})` : describeError(error);
    return { kind: "unseen", why };
  }
}

/** get and list, and nothing else. */
class Reader {
  constructor(private readonly client: KubernetesClient) {}

  async get<T extends KubernetesObject>(ref: ObjectRef): Promise<Look<T>> {
    return look(async () => this.client.get<T>(ref));
  }

  async list<T extends KubernetesObject>(collection: Collection): Promise<Look<readonly T[]>> {
    const { apiVersion, kind } = collection;
    return look(async () => {
      const { items } = await this.client.list<T>(collection);
      // Items of a list carry neither.
      return items.map((item) => ({ ...item, apiVersion, kind }));
    });
  }

  /** Over all namespaces; in the one that was asked for, where that is refused. */
  async listIn<T extends KubernetesObject>(
    collection: Collection,
    namespace: string | undefined,
  ): Promise<Look<readonly T[]>> {
    const all = await this.list<T>(collection);
    if (all.kind !== "unseen" || namespace === undefined) return all;
    return this.list<T>({ ...collection, namespace });
  }

  async getEach<T extends KubernetesObject>(
    refs: readonly ObjectRef[],
    nameOf: (ref: ObjectRef) => string,
  ): Promise<ReadonlyMap<string, Look<T>>> {
    const looks = await Promise.all(
      refs.map(async (ref) => [nameOf(ref), await this.get<T>(ref)] as const),
    );
    return new Map(looks);
  }
}

function both<A, B>(a: Look<readonly A[]>, b: Look<readonly B[]>): Look<readonly (A | B)[]> {
  if (a.kind !== "seen") return a;
  if (b.kind !== "seen") return b;
  return { kind: "seen", value: [...a.value, ...b.value] };
}

async function lookAtRbac(reader: Reader): Promise<Look<Rbac>> {
  const list = async <T extends KubernetesObject>(kind: string) =>
    reader.list<T>({ apiVersion: RBAC, kind });
  const [clusterBindings, localBindings, clusterRoles, localRoles] = await Promise.all([
    list<RoleBinding>("ClusterRoleBinding"),
    list<RoleBinding>("RoleBinding"),
    list<Role>("ClusterRole"),
    list<Role>("Role"),
  ]);
  const bindings = both(clusterBindings, localBindings);
  const roles = both(clusterRoles, localRoles);
  if (bindings.kind !== "seen") return bindings;
  if (roles.kind !== "seen") return roles;
  return { kind: "seen", value: { bindings: bindings.value, roles: roles.value } };
}

/** The certificate alone: the key next to it is dropped as soon as it was read. */
async function lookAtServing(reader: Reader): Promise<Look<string>> {
  const ref = { apiVersion: "v1", kind: "Secret", namespace: SYSTEM_NAMESPACE };
  const secret = await reader.get<
    KubernetesObject & { readonly data?: Readonly<Record<string, string>> }
  >({ ...ref, name: WEBHOOK_TLS_SECRET });
  if (secret.kind !== "seen") return secret;
  const encoded = secret.value.data?.["tls.crt"] ?? "";
  return { kind: "seen", value: Buffer.from(encoded, "base64").toString("utf8") };
}

type Installation = Omit<
  Observed,
  "nowMs" | "version" | "server" | "gateways" | "servers" | "namespace" | "withInstallation"
>;

async function lookAtInstallation(reader: Reader): Promise<Installation> {
  const inSystem = (apiVersion: string, kind: string, name: string): ObjectRef => ({
    apiVersion,
    kind,
    namespace: SYSTEM_NAMESPACE,
    name,
  });
  const registered = (kind: string, name: string): ObjectRef => ({
    apiVersion: ADMISSION_REGISTRATION,
    kind,
    name,
  });
  const policies = policyNames.flatMap((name) =>
    ["ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"].map((kind) =>
      registered(kind, name),
    ),
  );
  const definitions = definitionNames.map((name) => ({
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    name,
  }));
  return {
    definitions: await reader.getEach<ServedDefinition>(definitions, ({ name }) => name),
    systemNamespace: await reader.get({
      apiVersion: "v1",
      kind: "Namespace",
      name: SYSTEM_NAMESPACE,
    }),
    admission: await reader.get<Deployment>(
      inSystem("apps/v1", "Deployment", ADMISSION.deployment),
    ),
    watch: await reader.get<Deployment>(inSystem("apps/v1", "Deployment", WATCH.deployment)),
    webhook: await reader.get<WebhookConfiguration>(
      registered("MutatingWebhookConfiguration", WEBHOOK_CONFIGURATION),
    ),
    servingChain: await lookAtServing(reader),
    service: await reader.get(inSystem("v1", "Service", WEBHOOK_SERVICE)),
    endpointSlices: await reader.list<EndpointSlice>({
      apiVersion: "discovery.k8s.io/v1",
      kind: "EndpointSlice",
      namespace: SYSTEM_NAMESPACE,
      labelSelector: `kubernetes.io/service-name=${WEBHOOK_SERVICE}`,
    }),
    budget: await reader.get(inSystem("policy/v1", "PodDisruptionBudget", ADMISSION.deployment)),
    policies: await reader.getEach(policies, ({ kind, name }) => `${kind}/${name}`),
    rbac: await lookAtRbac(reader),
    namespaces: await reader.list<PartialObjectMetadata>({
      apiVersion: "v1",
      kind: "Namespace",
      metadataOnly: true,
    }),
  };
}

/** What is known of an installation that nobody asked for. */
const noInstallation: Installation = {
  definitions: new Map(),
  systemNamespace: notAsked,
  admission: notAsked,
  watch: notAsked,
  webhook: notAsked,
  servingChain: notAsked,
  service: notAsked,
  endpointSlices: notAsked,
  budget: notAsked,
  policies: new Map(),
  rbac: notAsked,
  namespaces: notAsked,
};

/**
 * Looks at the cluster by get and list alone. What is refused is part of the answer.
 * @throws Error when the API server can't be reached.
 */
export async function observe(question: Question): Promise<Observed> {
  const { client, nowMs, version, namespace, withInstallation } = question;
  const reader = new Reader(client);
  const server = await client.version();
  const kind = (name: string): Collection => ({ apiVersion: API_VERSION, kind: name });
  return {
    nowMs,
    version,
    server,
    namespace,
    withInstallation,
    ...(withInstallation ? await lookAtInstallation(reader) : noInstallation),
    gateways: await reader.listIn<InternalGateway>(kind("InternalGateway"), namespace),
    servers: await reader.listIn<HostedAPIServer>(kind("HostedAPIServer"), namespace),
  };
}
