import { Agent, request as httpsRequest, type RequestOptions } from "node:https";
import type { IncomingMessage } from "node:http";
import type { EmbeddedCluster } from "../cluster";

/** A Kubernetes object as it is on the wire. Tests look at whatever they like of it. */
export interface AnyObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name?: string;
    readonly generateName?: string;
    readonly namespace?: string;
    readonly uid?: string;
    readonly resourceVersion?: string;
    readonly generation?: number;
    readonly creationTimestamp?: string;
    readonly deletionTimestamp?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly finalizers?: readonly string[];
    readonly ownerReferences?: readonly { readonly name: string; readonly uid: string }[];
    readonly managedFields?: readonly { readonly manager?: string }[];
  };
  readonly spec?: Readonly<Record<string, unknown>>;
  readonly status?: Readonly<Record<string, unknown>>;
  readonly data?: Readonly<Record<string, string>>;
  readonly [field: string]: unknown;
}

/** Names an object. */
export interface Ref {
  readonly kind: Kind;
  readonly namespace?: string;
  readonly name: string;
}

// A table, where discovery would cost requests that tests count.
const collections = {
  ConfigMap: "/api/v1/configmaps",
  Endpoints: "/api/v1/endpoints",
  Event: "/api/v1/events",
  Namespace: "/api/v1/namespaces",
  Node: "/api/v1/nodes",
  Pod: "/api/v1/pods",
  Secret: "/api/v1/secrets",
  Service: "/api/v1/services",
  ServiceAccount: "/api/v1/serviceaccounts",
  DaemonSet: "/apis/apps/v1/daemonsets",
  Deployment: "/apis/apps/v1/deployments",
  ReplicaSet: "/apis/apps/v1/replicasets",
  ClusterRole: "/apis/rbac.authorization.k8s.io/v1/clusterroles",
  StatefulSet: "/apis/apps/v1/statefulsets",
  PodDisruptionBudget: "/apis/policy/v1/poddisruptionbudgets",
  RoleBinding: "/apis/rbac.authorization.k8s.io/v1/rolebindings",
  CustomResourceDefinition: "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
  EndpointSlice: "/apis/discovery.k8s.io/v1/endpointslices",
  HostedAPIServer: "/apis/fairlead.dev/v1alpha1/hostedapiservers",
  InternalGateway: "/apis/fairlead.dev/v1alpha1/internalgateways",
  Gateway: "/apis/networking.istio.io/v1/gateways",
  VirtualService: "/apis/networking.istio.io/v1/virtualservices",
  DestinationRule: "/apis/networking.istio.io/v1/destinationrules",
  ServiceEntry: "/apis/networking.istio.io/v1/serviceentries",
  EnvoyFilter: "/apis/networking.istio.io/v1alpha3/envoyfilters",
  NetworkPolicy: "/apis/networking.k8s.io/v1/networkpolicies",
  MutatingWebhookConfiguration:
    "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
  MutatingAdmissionPolicy: "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies",
  MutatingAdmissionPolicyBinding:
    "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicybindings",
  ValidatingAdmissionPolicy: "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies",
  ValidatingAdmissionPolicyBinding:
    "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings",
} as const;

/** A kind that tests work with. */
export type Kind = keyof typeof collections;

/** The path of a collection, in one namespace or over all. */
export function collectionPath(kind: Kind, namespace?: string): string {
  const path = collections[kind];
  const at = path.lastIndexOf("/");
  return namespace === undefined
    ? path
    : `${path.slice(0, at)}/namespaces/${namespace}${path.slice(at)}`;
}

/** The path of an object. */
export function objectPath({ kind, namespace, name }: Ref): string {
  return `${collectionPath(kind, namespace)}/${name}`;
}

/** The name of an object, which must have its kind. */
export function refOf({ kind, metadata }: AnyObject): Ref {
  const { namespace, name = "" } = metadata;
  return { kind: kind as Kind, name, ...(namespace === undefined ? {} : { namespace }) };
}

/** A refusal of the API server; its message is the Status' sentence. */
export class Refusal extends Error {
  override readonly name = "Refusal";
  /** @param code The HTTP status code. */
  constructor(
    readonly code: number,
    message: string,
  ) {
    super(message);
  }
}

/** An answer of the API server. */
export interface Answer<T> {
  readonly code: number;
  readonly body: T;
  /** What kubectl prints as `Warning: …`. */
  readonly warnings: readonly string[];
}

interface Sent {
  readonly method: string;
  readonly path: string;
  readonly body?: unknown;
  readonly contentType?: string;
}

/** An event of a watch. */
export interface WatchEvent {
  readonly type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK" | "ERROR";
  readonly object: AnyObject;
}

const dryRun = "dryRun=All&fieldValidation=Strict";
const warningPattern = /299 - "((?:[^"\\]|\\.)*)"/g;

function warningsOf(response: IncomingMessage): string[] {
  // node joins repeated headers by commas.
  const header = response.headers.warning ?? "";
  return [...header.matchAll(warningPattern)].map(([, text = ""]) => text.replaceAll("\\", ""));
}

/** Somebody whom an administrator acts as. */
export interface Impersonated {
  readonly user: string;
  /** Default: none but those that every user has. */
  readonly groups?: readonly string[];
}

/** The sentence of a Status; a path that is not served is answered without one. */
function refusalText(text: string): string {
  return text.startsWith("{") ? ((JSON.parse(text) as { message?: string }).message ?? "") : text;
}

/** A cluster administrator's connection to the API server of an embedded cluster: kubectl costs a process a call. */
export class Api {
  readonly #url: URL;
  readonly #options: RequestOptions;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 16 });

  /**
   * @param cluster Whose API server is asked, as user `admin`.
   * @param impersonated Whom `admin` acts as.
   */
  constructor(
    cluster: EmbeddedCluster,
    private readonly impersonated?: Impersonated,
  ) {
    this.#url = new URL(cluster.apiServer.url);
    const { certificatePem: cert, privateKeyPem: key } = cluster.keys.admin;
    this.#options = { ca: cluster.apiServer.caPem, cert, key };
  }

  /** Ends the connections. */
  close(): void {
    this.#agent.destroy();
  }

  /**
   * Reads a path.
   * @throws {Refusal} for any other answer than 200.
   */
  async read<T>(path: string): Promise<T> {
    return (await this.#send<T>({ method: "GET", path })).body;
  }

  /** Reads an object; undefined when it does not exist. */
  async find(ref: Ref): Promise<AnyObject | undefined> {
    try {
      return await this.read<AnyObject>(objectPath(ref));
    } catch (error) {
      if (error instanceof Refusal && error.code === 404) return undefined;
      throw error;
    }
  }

  /** Reads an object that exists. */
  async get(ref: Ref): Promise<AnyObject> {
    return this.read<AnyObject>(objectPath(ref));
  }

  /** Reads a collection. Items have neither apiVersion nor kind. */
  async list(kind: Kind, namespace?: string, labelSelector?: string): Promise<AnyObject[]> {
    const query =
      labelSelector === undefined ? "" : `?labelSelector=${encodeURIComponent(labelSelector)}`;
    const path = collectionPath(kind, namespace) + query;
    return (await this.read<{ items: AnyObject[] }>(path)).items;
  }

  /** Creates an object. */
  async create(object: object, query = ""): Promise<Answer<AnyObject>> {
    const { kind, metadata } = object as AnyObject & { kind: Kind };
    const path = `${collectionPath(kind, metadata.namespace)}?${query}`;
    return this.#send<AnyObject>({ method: "POST", path, body: object });
  }

  /** What a creation would come to; nothing is kept, unknown fields are refused. */
  async tryToCreate(object: object): Promise<Answer<AnyObject>> {
    return this.create(object, dryRun);
  }

  /** Creates objects, one after another. */
  async createAll(objects: readonly object[]): Promise<void> {
    for (const object of objects) await this.create(object);
  }

  /** Replaces an object by the one that is given. */
  async replace(object: AnyObject, query = ""): Promise<Answer<AnyObject>> {
    const path = `${objectPath(refOf(object))}?${query}`;
    return this.#send<AnyObject>({ method: "PUT", path, body: object });
  }

  /** Patches an object by a JSON merge patch (RFC 7386). */
  async patch(ref: Ref, patch: object, suffix = ""): Promise<Answer<AnyObject>> {
    const contentType = "application/merge-patch+json";
    return this.#send({
      method: "PATCH",
      path: objectPath(ref) + suffix,
      body: patch,
      contentType,
    });
  }

  /** Binds a Pod to a Node, as a scheduler does. */
  async bind({ namespace, name }: Ref, node: string): Promise<void> {
    const target = { apiVersion: "v1", kind: "Node", name: node };
    const body = { apiVersion: "v1", kind: "Binding", metadata: { name, namespace }, target };
    const path = `${collectionPath("Pod", namespace)}/${name}/binding`;
    await this.#send({ method: "POST", path, body });
  }

  /** Deletes an object, if it exists; a Pod at once, since there is no kubelet that would end it. */
  async remove(ref: Ref): Promise<void> {
    const query = ref.kind === "Pod" ? "gracePeriodSeconds=0" : "propagationPolicy=Background";
    try {
      await this.#send({ method: "DELETE", path: `${objectPath(ref)}?${query}` });
    } catch (error) {
      if (!(error instanceof Refusal && error.code === 404)) throw error;
    }
  }

  /** What a deletion would come to; nothing goes. */
  async tryToRemove(ref: Ref): Promise<Answer<AnyObject>> {
    return this.#send({ method: "DELETE", path: `${objectPath(ref)}?dryRun=All` });
  }

  /** Watches a collection from now on, in one namespace or over all. @returns what ends the watch. */
  async watch(
    kind: Kind,
    namespace: string | undefined,
    onEvent: (event: WatchEvent) => void,
  ): Promise<() => void> {
    const path = `${collectionPath(kind, namespace)}?watch=true`;
    return new Promise((resolve, reject) => {
      const outgoing = httpsRequest(new URL(path, this.#url), { ...this.#options, agent: false });
      outgoing.on("error", reject);
      outgoing.on("response", (response) => {
        if (response.statusCode !== 200) {
          reject(new Error(`watch of ${path}: ${response.statusCode ?? 0}`));
          return;
        }
        let rest = "";
        response.setEncoding("utf8");
        response.on("data", (chunk: string) => {
          const lines = (rest + chunk).split("\n");
          rest = lines.pop() ?? "";
          for (const line of lines) onEvent(JSON.parse(line) as WatchEvent);
        });
        response.on("error", () => undefined);
        resolve(() => outgoing.destroy());
      });
      outgoing.end();
    });
  }

  async #send<T>({ method, path, body, contentType }: Sent): Promise<Answer<T>> {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const { user, groups = [] } = this.impersonated ?? {};
    const identity =
      user === undefined
        ? {}
        : {
            "impersonate-user": user,
            ...(groups.length === 0 ? {} : { "impersonate-group": [...groups] }),
          };
    const headers =
      text === undefined
        ? identity
        : {
            ...identity,
            "content-type": contentType ?? "application/json",
            "content-length": Buffer.byteLength(text),
          };
    return new Promise((resolve, reject) => {
      const options = { ...this.#options, agent: this.#agent, method, headers };
      const outgoing = httpsRequest(new URL(path, this.#url), options, (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("error", reject);
        response.on("end", () => {
          const code = response.statusCode ?? 0;
          const text = Buffer.concat(chunks).toString("utf8");
          if (code >= 200 && code < 300) {
            resolve({ code, body: JSON.parse(text) as T, warnings: warningsOf(response) });
          } else {
            reject(new Refusal(code, refusalText(text)));
          }
        });
      });
      outgoing.on("error", reject);
      outgoing.end(text);
    });
  }
}
