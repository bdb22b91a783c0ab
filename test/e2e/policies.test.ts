import { startCluster, type EmbeddedCluster } from "../cluster";
import { Api, Refusal, refOf, type AnyObject } from "../harness/api";
import { eventually } from "../harness/eventually";
import { manifestObjects } from "../harness/installation";
import { applyIstioDefinitions } from "../harness/istio-definitions";
import {
  configMap,
  hostedAPIServer,
  internalGateway,
  namespace,
  secret,
  service,
} from "../harness/objects";
import { speak, START_TIMEOUT_MS } from "../harness/stage";
import { kubernetesVersionsUnderTest } from "./versions";

jest.setTimeout(120_000);

const WATCH = "system:serviceaccount:pepr-system:fairlead-watch";
const EVALUATION = "system:serviceaccount:pepr-system:pepr-fairlead";
const own = { "app.kubernetes.io/managed-by": "fairlead" };
const credential = "tenant-a-main-tls-0123456789";
const proxyCredential = "tenant-a-main-istio-mtls-abcdef0123";
const host = "kube-apiserver.tenant-a.svc.cluster.local";

function istio(kind: string, spec: object, metadata: object = {}): AnyObject {
  return {
    apiVersion: "networking.istio.io/v1",
    kind,
    metadata: { name: "mine", namespace: "tenant-b", ...metadata },
    spec,
  } as unknown as AnyObject;
}

function gateway(tls: object, more: object = {}): AnyObject {
  const port = { name: "https", number: 9443, protocol: "HTTPS" };
  const servers = [{ hosts: ["b.example.com"], port, tls: { mode: "SIMPLE", ...tls } }];
  return istio("Gateway", { selector: { istio: "ingressgateway" }, servers }, more);
}

function destinationRule(spec: object): AnyObject {
  return istio("DestinationRule", { host, ...spec });
}

function virtualService(routes: object): AnyObject {
  const gateways = ["istio-ingress/shared"];
  return istio("VirtualService", { hosts: ["b.example.com"], gateways, ...routes });
}

const destination = (subset?: string) => ({
  destination: { host, ...(subset === undefined ? {} : { subset }) },
});
const trusted = "client-certificate";
const tlsMatch = [{ sniHosts: ["b.example.com"] }];

/** What nobody but fairlead may write, by what it does. */
const forbidden: readonly (readonly [what: string, object: AnyObject])[] = [
  ["serves another's certificate", gateway({ credentialName: credential })],
  [
    "serves it from another namespace's gateway by a longer name",
    gateway({ credentialName: `kubernetes-gateway://istio-ingress/${credential}` }),
  ],
  ["serves it among others", gateway({ credentialNames: ["mine", credential] })],
  ["shows the gateway's certificate", destinationRule(policyOf(proxyCredential))],
  [
    "shows it on a port",
    destinationRule({
      trafficPolicy: {
        portLevelSettings: [
          { port: { number: 443 }, tls: { mode: "MUTUAL", credentialName: proxyCredential } },
        ],
      },
    }),
  ],
  [
    "shows it in a subset",
    destinationRule({ subsets: [{ name: "mine", ...policyOf(proxyCredential) }] }),
  ],
  ["believes its CA", destinationRule(policyOf(`${credential}-cacert`, "SIMPLE"))],
  [
    "routes requests where the gateway shows it",
    virtualService({ http: [{ route: [destination()] }, { route: [destination(trusted)] }] }),
  ],
  [
    "mirrors requests there",
    virtualService({
      http: [{ route: [destination()], mirror: destination(trusted).destination }],
    }),
  ],
  [
    "mirrors requests there among other places",
    virtualService({ http: [{ route: [destination()], mirrors: [destination(trusted)] }] }),
  ],
  [
    "routes connections there by their SNI",
    virtualService({ tls: [{ match: tlsMatch, route: [destination(trusted)] }] }),
  ],
  [
    "routes connections there",
    virtualService({ tcp: [{ route: [{ ...destination(trusted), weight: 100 }] }] }),
  ],
];

const allowed: readonly (readonly [what: string, object: AnyObject])[] = [
  ["a Gateway with a certificate of its own", gateway({ credentialName: "b-example-com-tls" })],
  [
    "a Gateway without TLS",
    istio("Gateway", {
      servers: [{ hosts: ["*"], port: { name: "http", number: 80, protocol: "HTTP" } }],
    }),
  ],
  ["a DestinationRule with a certificate of its own", destinationRule(policyOf("b-client"))],
  ["a DestinationRule of nothing but a host", destinationRule({})],
  [
    "a VirtualService with another subset",
    virtualService({ http: [{ route: [destination("v2")] }, { redirect: { uri: "/x" } }] }),
  ],
  [
    "a VirtualService that passes TLS through",
    virtualService({ tls: [{ match: tlsMatch, route: [destination()] }] }),
  ],
];

function policyOf(credentialName: string, mode = "MUTUAL"): object {
  return { trafficPolicy: { tls: { mode, credentialName } } };
}

const labelled = (object: AnyObject): AnyObject => ({
  ...object,
  metadata: { ...object.metadata, labels: { ...object.metadata.labels, ...own } },
});

describe.each(kubernetesVersionsUnderTest())("the policies on Kubernetes %s", (version) => {
  let cluster: EmbeddedCluster;
  let api: Api;
  const writers = new Map<string, Api>();

  /** What somebody is told who writes an object; undefined where it is taken. A superuser, but for policies. */
  const refusal = async (
    user: string,
    verb: "create" | "replace" | "delete",
    object: AnyObject,
  ): Promise<string | undefined> => {
    const as = writers.get(user) ?? new Api(cluster, { user, groups: ["system:masters"] });
    writers.set(user, as);
    try {
      if (verb === "create") await as.tryToCreate(object);
      else if (verb === "replace") await as.replace(object, "dryRun=All");
      else await as.tryToRemove(refOf(object));
      return undefined;
    } catch (error) {
      if (error instanceof Refusal) return error.message;
      throw error;
    }
  };

  /** As a replacement: with what the API server added. */
  const changed = async (object: AnyObject, change: (now: AnyObject) => AnyObject) => {
    const { kind, metadata } = object;
    const { namespace: inNamespace = "", name = "" } = metadata;
    const now = await api.get({ kind: kind as "Secret", namespace: inNamespace, name });
    return change({ ...now, apiVersion: object.apiVersion, kind });
  };

  beforeAll(async () => {
    cluster = await startCluster({ version });
    api = new Api(cluster);
    await applyIstioDefinitions(speak(cluster));
    const wanted = ["Namespace", "CustomResourceDefinition", "ValidatingAdmissionPolicy"];
    const objects = manifestObjects().filter(({ kind }) =>
      wanted.some((prefix) => kind.startsWith(prefix)),
    );
    await speak(cluster).kubectl(["apply", "-f", "-"], objects);
    await api.createAll(["tenant-a", "tenant-b", "istio-ingress"].map((name) => namespace(name)));
    // Until the API server has heard of both, and serves fairlead's kinds.
    await eventually(async () => {
      await Promise.all([api.list("HostedAPIServer"), api.list("InternalGateway")]);
      const stray = secret("tenant-a", "stray", { a: "b" });
      const refusals = [
        await refusal("jane", "create", gateway({ credentialName: credential })),
        await refusal(WATCH, "create", stray),
      ];
      if (refusals.includes(undefined)) throw new Error("the policies are not in force yet");
    });
  }, START_TIMEOUT_MS);
  afterAll(async () => {
    for (const each of [api, ...writers.values()]) each.close();
    await cluster.stop();
  });

  describe("of gateways", () => {
    it.each(forbidden)("let nobody write what %s", async (_, object) => {
      expect(await refusal("jane", "create", object)).toContain("fairlead-guard-gateways");
      expect(await refusal(WATCH, "create", object)).toBeUndefined();
      expect(await refusal(EVALUATION, "create", object)).toBeUndefined();
    });

    it.each(allowed)("let anybody write %s", async (_, object) => {
      expect(await refusal("jane", "create", object)).toBeUndefined();
    });

    it("let others label what fairlead made, but not change it, nor make it out of something else", async () => {
      const kept = gateway(
        { credentialName: credential },
        { name: "kept", namespace: "istio-ingress" },
      );
      const other = gateway({ credentialName: "other" }, { name: "other" });
      await speak(cluster).kubectl(
        ["create", `--as=${WATCH}`, "--as-group=system:masters", "-f", "-"],
        [kept, other],
      );
      const relabelled = await changed(kept, (now) => ({
        ...now,
        metadata: { ...now.metadata, labels: { team: "a" } },
      }));
      const rehosted = await changed(kept, (now) => ({
        ...now,
        spec: { ...now.spec, selector: { istio: "mine" } },
      }));
      const turned = await changed(other, (now) => ({ ...now, spec: kept.spec ?? {} }));

      expect(await refusal("jane", "replace", relabelled)).toBeUndefined();
      expect(await refusal("jane", "replace", rehosted)).toContain("fairlead-guard-gateways");
      expect(await refusal("jane", "replace", turned)).toContain("fairlead-guard-gateways");
      expect(await refusal("jane", "delete", kept)).toBeUndefined();
    });
  });

  describe("of fairlead's own writes", () => {
    const foreign = secret("tenant-a", "kubeconfig", { config: "old" });
    const foreignService = service("tenant-a", "etcd-main-client", { selector: { app: "etcd" } });
    const route = labelled(configMap("tenant-a", "istio-internal-load-balancing", { hosts: "a" }));
    const foreignRoute = configMap("tenant-b", "istio-internal-load-balancing", { hosts: "b" });
    const ownSecret = labelled(secret("istio-ingress", credential, { cert: "a" }));
    const systemSecret = secret("kube-system", "token", { token: "a" });
    const tls = secret("pepr-system", "pepr-fairlead-tls", { "tls.crt": "a", "tls.key": "b" });
    const hapi = hostedAPIServer("tenant-a", "main");
    const igw = internalGateway("istio-ingress");
    const policy = (labels: object): AnyObject =>
      ({
        apiVersion: "networking.k8s.io/v1",
        kind: "NetworkPolicy",
        metadata: { name: "some", namespace: "tenant-a", labels },
        spec: { podSelector: {} },
      }) as unknown as AnyObject;

    beforeAll(async () => {
      await api.createAll([
        foreign,
        foreignService,
        route,
        foreignRoute,
        ownSecret,
        systemSecret,
        tls,
        hapi,
        igw,
        policy({}),
      ]);
    });

    it.each<[string, "create" | "delete", AnyObject]>([
      ["makes a Secret without its label", "create", secret("tenant-a", "stray", { a: "b" })],
      ["deletes somebody else's Secret", "delete", foreign],
      ["makes another ConfigMap", "create", labelled(configMap("kube-system", "coredns", {}))],
      [
        "makes a route without its label",
        "create",
        configMap("istio-ingress", route.metadata.name ?? "", {}),
      ],
      ["deletes the webhook's Secret", "delete", tls],
      ["deletes somebody else's route", "delete", foreignRoute],
      ["makes a Service without its label", "create", service("tenant-a", "stray")],
      ["deletes somebody else's Service", "delete", foreignService],
      [
        "makes a NetworkPolicy without its label",
        "create",
        { ...policy({}), metadata: { ...policy({}).metadata, name: "stray" } },
      ],
      ["deletes somebody else's NetworkPolicy", "delete", policy({})],
    ])("refuse fairlead that %s", async (_, verb, object) => {
      expect(await refusal(WATCH, verb, object)).toContain("fairlead-guard-writes");
      expect(await refusal("jane", verb, object)).toBeUndefined();
    });

    const spec = (change: object) => (now: AnyObject) => ({
      ...now,
      spec: { ...now.spec, ...change },
    });
    const data = (change: Readonly<Record<string, string>>) => (now: AnyObject) => ({
      ...now,
      data: { ...now.data, ...change },
    });
    const labels = (now: AnyObject) => ({
      ...now,
      metadata: { ...now.metadata, labels: own },
    });

    it.each<[string, AnyObject, (now: AnyObject) => AnyObject]>([
      ["adds a key to somebody else's Secret", foreign, data({ more: "YQ==" })],
      ["takes a key out of it", foreign, (now) => ({ ...now, data: {} })],
      ["makes it its own", foreign, labels],
      ["changes a Secret of the system", systemSecret, data({ token: "YQ==" })],
      ["changes somebody else's route", foreignRoute, data({ hosts: "c" })],
      ["leads somebody else's Service elsewhere", foreignService, spec({ selector: { app: "x" } })],
      ["changes its ports", foreignService, spec({ ports: [{ port: 444 }] })],
      ["makes it its own", foreignService, labels],
      ["changes somebody else's NetworkPolicy", policy({}), spec({ policyTypes: ["Egress"] })],
      ["changes a HostedAPIServer's spec", hapi, spec({ hosts: ["other.example.com"] })],
      ["changes an InternalGateway's spec", igw, spec({ allowedNamespaces: { from: "Same" } })],
    ])("refuse fairlead that %s", async (_, object, change) => {
      const next = await changed(object, change);

      expect(await refusal(WATCH, "replace", next)).toContain("fairlead-guard-writes");
      expect(await refusal("jane", "replace", next)).toBeUndefined();
    });

    it.each<[string, AnyObject, (now: AnyObject) => AnyObject]>([
      ["a kubeconfig's value", foreign, data({ config: "bmV3" })],
      [
        "that a kubeconfig is contested",
        foreign,
        (now) => ({
          ...now,
          metadata: { ...now.metadata, annotations: { "fairlead.dev/contested": "true" } },
        }),
      ],
      ["its own route", route, data({ hosts: "c" })],
      ["its own Secret", ownSecret, data({ more: "YQ==" })],
      ["the webhook's certificate", tls, data({ "tls.crt": "YQ==" })],
      [
        "trafficDistribution, and its mark",
        foreignService,
        (now) => ({
          ...spec({ trafficDistribution: "PreferClose" })(now),
          metadata: {
            ...now.metadata,
            annotations: { "fairlead.dev/traffic-distribution": "PreferClose" },
          },
        }),
      ],
      [
        "a finalizer",
        hapi,
        (now) => ({ ...now, metadata: { ...now.metadata, finalizers: ["fairlead.dev/exposure"] } }),
      ],
    ])("let fairlead write %s", async (_, object, change) => {
      expect(await refusal(WATCH, "replace", await changed(object, change))).toBeUndefined();
    });

    it("let fairlead make and delete what is its own", async () => {
      const made = labelled(secret("istio-ingress", "new", { cert: "a" }));

      expect(await refusal(WATCH, "create", made)).toBeUndefined();
      expect(await refusal(WATCH, "delete", ownSecret)).toBeUndefined();
      expect(await refusal(WATCH, "delete", route)).toBeUndefined();
    });
  });

  it("say why in a sentence", async () => {
    await expect(api.create(gateway({ credentialName: credential }))).rejects.toThrow(Refusal);
    expect(await refusal("jane", "create", gateway({ credentialName: credential }))).toContain(
      "credentialName is a Secret of fairlead's, which serves a hosted API server.",
    );
  });
});
