import { manifestObjects } from "../../deploy/chart";
import { packModule } from "../../deploy/objects";
import type { KubernetesObject } from "../../lib/api";
import {
  ApiError,
  type Collection,
  type KubernetesClient,
  type ObjectRef,
  type ServerVersion,
} from "../../lib/cluster";
import { createCA, issue, type KeyPair } from "../cluster/certificates";
import packageJson from "../../package.json";

type Json = Record<string, unknown>;
const isJson = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** RFC 7386. */
export function mergePatch(target: unknown, patch: Json): Json {
  const merged: Json = isJson(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) Reflect.deleteProperty(merged, key);
    else merged[key] = isJson(value) ? mergePatch(merged[key], value) : value;
  }
  return merged;
}

/** `Kind namespace/name`, or `Kind name`. */
export function titleOf({ kind, metadata }: KubernetesObject): string {
  const { namespace, name } = metadata;
  return namespace === undefined ? `${kind} ${name}` : `${kind} ${namespace}/${name}`;
}

const istioKinds = {
  "gateways.networking.istio.io": "v1",
  "virtualservices.networking.istio.io": "v1",
  "destinationrules.networking.istio.io": "v1",
  "envoyfilters.networking.istio.io": "v1alpha3",
};

const established = { conditions: [{ type: "Established", status: "True" }] };

function istioDefinitions(): readonly KubernetesObject[] {
  return Object.entries(istioKinds).map(
    ([name, version]) =>
      ({
        apiVersion: "apiextensions.k8s.io/v1",
        kind: "CustomResourceDefinition",
        metadata: { name },
        spec: { versions: [{ name: version, served: true }] },
        status: established,
      }) as KubernetesObject,
  );
}

const base64 = (text: string): string => Buffer.from(text).toString("base64");

/** What the API server, controllers and the watch process have added to an object by the time all is well. */
function comeToLife(object: KubernetesObject, ca: KeyPair, leaf: KeyPair): KubernetesObject {
  const live = object as unknown as Json & { readonly spec?: { readonly replicas?: number } };
  switch (titleOf(object)) {
    case "Secret pepr-system/pepr-fairlead-tls": {
      const data = { "tls.crt": leaf.certificatePem, "tls.key": "a key that nobody may print" };
      const encoded = Object.entries(data).map(([key, text]) => [key, base64(text)]);
      return { ...object, data: Object.fromEntries(encoded) as object } as KubernetesObject;
    }
    case "MutatingWebhookConfiguration pepr-fairlead": {
      const [webhook] = (object as unknown as { webhooks: readonly Json[] }).webhooks;
      const clientConfig = {
        ...(webhook?.clientConfig as Json),
        caBundle: base64(ca.certificatePem),
      };
      return { ...object, webhooks: [{ ...webhook, clientConfig }] } as KubernetesObject;
    }
  }
  if (object.kind === "CustomResourceDefinition") {
    return { ...object, status: established } as KubernetesObject;
  }
  if (object.kind !== "Deployment") return object;
  const { replicas } = live.spec ?? {};
  const status = { observedGeneration: 1, replicas, readyReplicas: replicas };
  return { ...object, status } as KubernetesObject;
}

/** All objects of a hardened installation that works, at a time. */
export async function installedObjects(nowMs: number): Promise<readonly KubernetesObject[]> {
  const manifest = manifestObjects({
    version: packageJson.version,
    description: "Leads.",
    image: "registry.example.com/controller:v1",
    failurePolicy: "Fail",
    module: packModule(Buffer.from("module.exports = 1;"), "launch();"),
  }) as readonly unknown[] as readonly KubernetesObject[];
  const notBefore = new Date(nowMs - 10 * 86_400_000);
  const notAfter = new Date(nowMs + 80 * 86_400_000);
  const ca = await createCA({ commonName: "serving-ca", notBefore, notAfter });
  const leaf = await issue(ca, {
    commonName: "serving",
    dnsNames: ["pepr-fairlead.pepr-system.svc"],
    usages: ["server"],
    notBefore,
    notAfter,
  });
  const slice = {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: { name: "pepr-fairlead-x", namespace: "pepr-system" },
    endpoints: [{ addresses: ["192.0.2.1"], conditions: { ready: true } }],
  };
  return [
    ...manifest.map((object) => comeToLife(object, ca, leaf)),
    ...istioDefinitions(),
    slice as KubernetesObject,
  ];
}

/** The cluster that a client of these objects sees; `refused` are kinds that it may not read. */
export function clientOf(
  objects: readonly KubernetesObject[],
  version: ServerVersion,
  refused: readonly string[] = [],
): KubernetesClient {
  const check = (kind: string): void => {
    if (!refused.includes(kind)) return;
    throw new ApiError(`${kind} is forbidden`, { status: 403, reason: "Forbidden" });
  };
  const client = {
    version: async () => Promise.resolve(version),
    get: async ({ kind, namespace, name }: ObjectRef) => {
      check(kind);
      return Promise.resolve(
        objects.find(
          (object) =>
            object.kind === kind &&
            object.metadata.namespace === namespace &&
            object.metadata.name === name,
        ),
      );
    },
    list: async ({ kind, namespace }: Collection) => {
      check(kind);
      const items = objects.filter(
        (object) =>
          object.kind === kind &&
          (namespace === undefined || object.metadata.namespace === namespace),
      );
      return Promise.resolve({ items, metadata: { resourceVersion: "1" } });
    },
  };
  return client as unknown as KubernetesClient;
}
