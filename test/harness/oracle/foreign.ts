import { Refusal, refOf, type AnyObject, type Api } from "../api";
import { configMap, namespace, secret, service } from "../objects";

/** Objects of others, as they are. */
export interface ForeignObjects {
  /** By uid. */
  readonly uids: ReadonlySet<string>;
  /** Those that are not as they were, by name. */
  touched(): Promise<readonly string[]>;
}

const istioVersion = "networking.istio.io/v1";

/** Marks as fairlead's own objects carry them; of a tenant that does not exist. */
const copiedMarks = {
  "app.kubernetes.io/managed-by": "fairlead",
  "fairlead.dev/namespace": "gone",
  "fairlead.dev/name": "main",
};

function marked(object: AnyObject, labels: Readonly<Record<string, string>> = copiedMarks) {
  return { ...object, metadata: { ...object.metadata, labels } };
}

function istioObjects(gatewayNamespace: string): readonly object[] {
  const metadata = { namespace: gatewayNamespace, name: "gone-main" };
  return [
    {
      apiVersion: istioVersion,
      kind: "Gateway",
      metadata,
      spec: {
        selector: { app: "another" },
        servers: [{ port: { number: 80, name: "http", protocol: "HTTP" }, hosts: ["a.example"] }],
      },
    },
    {
      apiVersion: istioVersion,
      kind: "DestinationRule",
      metadata,
      spec: { host: "another.example" },
    },
    {
      apiVersion: istioVersion,
      kind: "VirtualService",
      metadata,
      spec: { hosts: ["a.example"], http: [{ route: [{ destination: { host: "a.example" } }] }] },
    },
    {
      apiVersion: "networking.istio.io/v1alpha3",
      kind: "EnvoyFilter",
      metadata,
      spec: { configPatches: [] },
    },
  ];
}

/**
 * Objects that are not fairlead's and look much like its own: by name, by labels, or by standing where fairlead's
 * would.
 */
export function lookalikes(
  gatewayNamespace: string,
  istio: "served" | "absent",
): readonly object[] {
  const copied = secret(gatewayNamespace, "copied-labels", { cert: "theirs" });
  return [
    secret(gatewayNamespace, "theirs", { cert: "theirs" }),
    secret(gatewayNamespace, "gone-main-tls-0123456789", { cert: "theirs" }),
    marked(copied, { ...copiedMarks, "fairlead.dev/use": "server" }),
    marked(service(gatewayNamespace, "copied-labels")),
    configMap(gatewayNamespace, "istio-internal-load-balancing", { hosts: "theirs.example.com" }),
    namespace("bystander"),
    secret("bystander", "kube-apiserver", { "tls.crt": "theirs" }),
    service("bystander", "etcd-main-client", { trafficDistribution: "PreferClose" }),
    ...(istio === "served" ? istioObjects(gatewayNamespace) : []),
  ];
}

/** Creates objects of others and remembers them, down to their version. */
export async function createForeign(api: Api, objects: readonly object[]): Promise<ForeignObjects> {
  const created: AnyObject[] = [];
  for (const object of objects) created.push((await api.create(object)).body);
  const isTouched = async (object: AnyObject): Promise<boolean> => {
    try {
      return JSON.stringify(await api.get(refOf(object))) !== JSON.stringify(object);
    } catch (error) {
      if (error instanceof Refusal && error.code === 404) return true;
      throw error;
    }
  };
  return {
    uids: new Set(created.map(({ metadata }) => metadata.uid ?? "")),
    async touched() {
      const all = await Promise.all(
        created.map(async (object) => ((await isTouched(object)) ? [object] : [])),
      );
      return all
        .flat()
        .map(
          ({ kind, metadata: { namespace: home = "", name = "" } }) => `${kind} ${home}/${name}`,
        );
    },
  };
}
