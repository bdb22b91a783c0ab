import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseAllDocuments } from "yaml";
import { webhookRules } from "../../lib/domain/webhook";
import { Refusal, type AnyObject } from "../harness/api";
import { eventually } from "../harness/eventually";
import {
  configMap,
  hostedAPIServer,
  internalGateway,
  namespace,
  pod,
  routeConfigMap,
  routedPod,
  service,
} from "../harness/objects";
import { setStage, START_TIMEOUT_MS, toInput, type Stage } from "../harness/stage";
import { kubernetesVersionsUnderTest } from "./versions";

jest.setTimeout(240_000);

const examplesFolder = resolve(__dirname, "../../examples");
const examples: readonly AnyObject[] = (
  existsSync(examplesFolder) ? readdirSync(examplesFolder) : []
)
  .filter((file) => file.endsWith(".yaml"))
  .sort()
  .flatMap((file) => parseAllDocuments(readFileSync(join(examplesFolder, file), "utf8")))
  .map((document) => document.toJS() as AnyObject);

const host = "api.tenant.example.com";
const gatewayNamespace = "istio-ingress";
const internalService = "istio-ingressgateway-internal";
const label =
  "networking.resources.gardener.cloud/to-istio-ingress-istio-ingressgateway-internal-tcp-9443";

/** Namespaces with a route that can't be followed, and the sentence that says why. */
const denials: readonly (readonly [
  namespace: string,
  route: Readonly<Record<string, string>>,
  sentence: string,
])[] = [
  [
    "no-hosts",
    { "istio-namespace": gatewayNamespace },
    "names no hosts: write the API server's host names into hosts, separated by commas.",
  ],
  [
    "bad-host",
    { hosts: `${host},*.example.com`, "istio-namespace": gatewayNamespace },
    'has the host "*.example.com", which is a wildcard: write each name that it stands for.',
  ],
  [
    "no-gateway-namespace",
    { hosts: host },
    "does not say where the gateway is: write its namespace into istio-namespace.",
  ],
  [
    "bad-gateway-namespace",
    { hosts: host, "istio-namespace": "Istio Ingress" },
    'has the istio-namespace "Istio Ingress", which is not a namespace\'s name: write the name alone.',
  ],
  [
    "bad-service",
    { hosts: host, "istio-namespace": gatewayNamespace, service: "gateway.svc" },
    'has the service "gateway.svc", which is not a Service\'s name: write the name alone.',
  ],
  [
    "bad-port",
    { hosts: host, "istio-namespace": gatewayNamespace, port: "65536" },
    'has the port "65536", which is not a port: write the gateway\'s port, a number from 1 to 65535.',
  ],
  [
    "bad-address",
    { hosts: host, "istio-namespace": gatewayNamespace, addresses: "gateway" },
    'has the address "gateway", which is not an IP address: write IP addresses into addresses, separated by commas.',
  ],
  [
    "no-namespace",
    { hosts: host, "istio-namespace": "nowhere" },
    `leads to Service nowhere/${internalService}, which does not exist: create it, or correct istio-namespace and service.`,
  ],
  [
    "no-service",
    { hosts: host, "istio-namespace": gatewayNamespace, service: "absent" },
    "leads to Service istio-ingress/absent, which does not exist: create it, or correct istio-namespace and service.",
  ],
  [
    "external-name",
    { hosts: host, "istio-namespace": gatewayNamespace, service: "external" },
    "leads to Service istio-ingress/external, which is of type ExternalName: make it a ClusterIP Service.",
  ],
  [
    "headless",
    { hosts: host, "istio-namespace": gatewayNamespace, service: "headless" },
    "leads to Service istio-ingress/headless, which is headless: recreate it with a cluster IP.",
  ],
];

const zonalServices = [
  "etcd-main-client",
  "etcd-events-client",
  "gardener-resource-manager",
  "vpa-webhook",
];

const igw = (spec: Readonly<Record<string, unknown>>) => ({ ...internalGateway("tenant"), spec });
const gatewaySpec = { selector: { app: "x" } };
const hapi = (spec: object, name = "one") => hostedAPIServer("tenant", name, { ...spec });
const pair = { secretName: "a" };

/** What the schema refuses, each rule once, and the words in which it does. */
const refusals: readonly (readonly [rule: string, object: AnyObject, sentence: string])[] = [
  [
    "a CA bundle from both a Secret and a ConfigMap",
    hapi({
      certificates: { server: pair, serverCA: { secretName: "ca", configMapName: "ca" } },
    }),
    "give either secretName or configMapName",
  ],
  [
    "a CA bundle from neither",
    hapi({ certificates: { server: pair, serverCA: { key: "ca.crt" } } }),
    "give either secretName or configMapName",
  ],
  [
    "a clientCA without a proxyClient",
    hapi({ certificates: { server: pair, serverCA: pair, clientCA: pair } }),
    "clientCA and proxyClient go together: without them the gateway asks for no client certificate (tokens only)",
  ],
  [
    "a proxyClient without a clientCA",
    hapi({ certificates: { server: pair, serverCA: pair, proxyClient: { issuer: pair } } }),
    "clientCA and proxyClient go together: without them the gateway asks for no client certificate (tokens only)",
  ],
  [
    "a proxyClient with both an issuer and a certificate",
    hapi({
      certificates: {
        server: pair,
        serverCA: pair,
        clientCA: pair,
        proxyClient: { issuer: pair, certificate: pair },
      },
    }),
    "give either issuer or certificate",
  ],
  [
    "a proxyClient with neither",
    hapi({ certificates: { server: pair, serverCA: pair, clientCA: pair, proxyClient: {} } }),
    "give either issuer or certificate",
  ],
  [
    "a server certificate without a serverCA",
    hapi({ certificates: { server: pair } }),
    "server and serverCA go together",
  ],
  [
    "client certificates without a server certificate",
    hapi({ certificates: { clientCA: pair, proxyClient: { issuer: pair } } }),
    "clientCA and proxyClient need server and serverCA",
  ],
  [
    "L7 without certificates",
    hapi({ loadBalancing: "L7" }),
    "loadBalancing: L7 needs certificates.server and certificates.serverCA",
  ],
  [
    "a HostedAPIServer with a name of 64 characters",
    hapi({}, "a".repeat(64)),
    "the name of a HostedAPIServer has at most 63 characters, since labels carry it",
  ],
  ["a HostedAPIServer without hosts", hapi({ hosts: [] }), "spec.hosts"],
  [
    "17 hosts",
    hapi({ hosts: Array.from({ length: 17 }, (_, index) => `api-${index}.example.com`) }),
    "must have at most 16 items",
  ],
  ["a host given twice", hapi({ hosts: [host, host] }), "Duplicate value"],
  ["a wildcard host", hapi({ hosts: ["*.example.com"] }), "spec.hosts[0]"],
  ["a version that is none", hapi({ kubernetesVersion: "latest" }), "spec.kubernetesVersion"],
  ["another way to balance", hapi({ loadBalancing: "L5" }), 'supported values: "Auto", "L7", "L4"'],
  ["an unknown field", hapi({ colour: "blue" }), 'unknown field "spec.colour"'],
  ["a gateway without a selector", igw({}), "spec.selector"],
  ["a gateway with an empty selector", igw({ selector: {} }), "spec.selector"],
  [
    "namespaces by a selector that is not given",
    igw({ ...gatewaySpec, allowedNamespaces: { from: "Selector" } }),
    "selector goes with from: Selector, and only with it",
  ],
  [
    "a selector of namespaces that does not count",
    igw({ ...gatewaySpec, allowedNamespaces: { from: "All", selector: { matchLabels: {} } } }),
    "selector goes with from: Selector, and only with it",
  ],
  ["a port out of range", igw({ ...gatewaySpec, port: { service: 0 } }), "spec.port.service"],
];

/** The sentence with which an object is refused. */
async function sentenceOf(attempt: Promise<unknown>): Promise<string> {
  try {
    await attempt;
  } catch (error) {
    if (error instanceof Refusal) return error.message;
    throw error;
  }
  throw new Error("it was accepted");
}

describe.each(kubernetesVersionsUnderTest())("on Kubernetes %s", (version) => {
  let stage: Stage;
  const minor = Number(version.split(".")[1]);
  const distribution = minor >= 34 ? "PreferSameZone" : "PreferClose";
  const servesPolicies = minor >= 36;

  beforeAll(async () => {
    const routes = { hosts: `${host},api.internal.example.com` };
    stage = await setStage({
      version,
      objects: [
        ...["tenant", "control-plane", "plain", gatewayNamespace].map((name) => namespace(name)),
        service(gatewayNamespace, internalService, { ipFamilyPolicy: "RequireDualStack" }),
        service(gatewayNamespace, "headless", { clusterIP: "None" }),
        service(gatewayNamespace, "external", {
          type: "ExternalName",
          externalName: "gateway.example.com",
        }),
        routeConfigMap("tenant", { ...routes, "istio-namespace": gatewayNamespace }),
        ...denials.flatMap(([name, data]) => [namespace(name), routeConfigMap(name, data)]),
      ],
    });
    if (servesPolicies) await untilAdmittedBy("Policy");
  }, START_TIMEOUT_MS);

  afterAll(async () => {
    await stage.stop();
  });

  const configuration = { kind: "MutatingWebhookConfiguration", name: "pepr-fairlead" } as const;
  const untilAdmittedBy = async (expected: string | undefined): Promise<void> =>
    eventually(
      async () => {
        const { annotations } = (await stage.api.get(configuration)).metadata;
        expect(annotations?.["fairlead.dev/admission"]).toBe(expected);
      },
      { timeoutMs: 120_000 },
    );

  it("Pods and Services are admitted by policies where those are served, else by the webhook", async () => {
    const { matchConditions } = webhookRules({ policies: servesPolicies });
    await eventually(async () => {
      const { webhooks } = await stage.api.get(configuration);
      expect(webhooks).toEqual([expect.objectContaining({ matchConditions })]);
    });
    // What goes without saying is not said.
    await untilAdmittedBy(servesPolicies ? "Policy" : undefined);
    // Where policies are not served, all of the above is so before that was found out.
    await eventually(() => {
      const log = readFileSync(stage.fairlead.watch.logPath, "utf8");
      expect(log).toContain(servesPolicies ? '"reason":"InForce"' : '"reason":"NotServed"');
    });
  });

  describe("the API", () => {
    it("has examples, and all of them are valid", async () => {
      expect(examples.map(({ kind }) => kind)).toEqual(
        expect.arrayContaining(["InternalGateway", "HostedAPIServer"]),
      );
      const namespaces = new Set(examples.map(({ metadata }) => metadata.namespace));
      for (const name of namespaces) {
        const exists = await stage.api.find({ kind: "Namespace", name: name ?? "default" });
        if (exists === undefined) await stage.api.create(namespace(name ?? ""));
      }
      const ours = examples.filter(({ kind }) => kind !== "Namespace");
      const args = ["create", "--dry-run=server", "--validate=strict", "-f", "-", "-o", "name"];
      const created = await stage.kubectl(args, ours);
      expect(created.trim().split("\n")).toHaveLength(ours.length);
    });

    it.each(refusals)("refuses %s", async (_rule, object, sentence) => {
      expect(await sentenceOf(stage.api.tryToCreate(object))).toContain(sentence);
    });

    it.each([
      ["serviceName", { serviceName: "another" }, "serviceName is immutable"],
      ["port", { port: { service: 444, target: 9443 } }, "port is immutable"],
    ])("refuses to change %s of a gateway", async (_field, change, sentence) => {
      const gateway = internalGateway("plain");
      await stage.api.create(gateway);
      const ref = { kind: "InternalGateway", namespace: "plain", name: "default" } as const;
      expect(await sentenceOf(stage.api.patch(ref, { spec: change }))).toContain(sentence);
      await stage.api.remove(ref);
      await eventually(async () => {
        expect(await stage.api.find(ref)).toBeUndefined();
      });
    });

    it("fills in the defaults", async () => {
      const full = hapi({
        certificates: {
          server: pair,
          serverCA: pair,
          clientCA: pair,
          proxyClient: { issuer: pair },
        },
      });
      const { body: server } = await stage.api.tryToCreate(full);
      expect(server.spec).toMatchObject({
        service: { name: "kube-apiserver", port: 443 },
        loadBalancing: "Auto",
        certificates: {
          server: { certificateKey: "tls.crt", privateKeyKey: "tls.key" },
          serverCA: { key: "ca.crt" },
          serverName: "kubernetes.default.svc",
          clientCA: { key: "ca.crt" },
          proxyClient: {
            issuer: {
              certificateKey: "ca.crt",
              privateKeyKey: "ca.key",
              commonName: "system:istio-gateway",
            },
          },
        },
        clients: { kubeconfigSecrets: [], restartStalePods: false },
        topologyAware: { enabled: false },
      });
      const { body: gateway } = await stage.api.tryToCreate(igw(gatewaySpec));
      expect(gateway.spec).toEqual({
        ...gatewaySpec,
        serviceName: internalService,
        port: { service: 443, target: 9443 },
        ipFamilyPolicy: "PreferDualStack",
        allowedNamespaces: { from: "Same" },
        networkPolicies: "IfIsolated",
      });
    });

    it("has short names and columns for kubectl", async () => {
      await stage.api.createAll([hostedAPIServer("plain", "shown"), internalGateway("plain")]);
      const servers = await stage.kubectl(["get", "hapi", "-n", "plain"]);
      const wide = await stage.kubectl(["get", "hapi", "-n", "plain", "-o", "wide"]);
      const gateways = await stage.kubectl(["get", "igw", "-n", "plain"]);
      await stage.api.remove({ kind: "HostedAPIServer", namespace: "plain", name: "shown" });
      await stage.api.remove({ kind: "InternalGateway", namespace: "plain", name: "default" });
      const columns = (text: string) =>
        text
          .split("\n")[0]
          ?.trim()
          .split(/\s{2,}/);
      expect(columns(servers)).toEqual([
        "NAME",
        "MODE",
        "READY",
        "SYNCED",
        "PROGRAMMED",
        "STALE",
        "AGE",
      ]);
      expect(columns(wide)).toEqual(
        expect.arrayContaining(["NAME", "MODE", "READY", "HOSTS", "ACCEPTED", "RESOLVED"]),
      );
      expect(wide).toContain('["api.plain.example.com"]');
      expect(columns(gateways)).toEqual([
        "NAME",
        "ADDRESSES",
        "ATTACHED",
        "ACCEPTED",
        "PROGRAMMED",
        "AGE",
      ]);
    });
  });

  describe("Pods", () => {
    const expectedAliases = async () => {
      const ref = { kind: "Service", namespace: gatewayNamespace, name: internalService } as const;
      const { clusterIPs } = (await stage.api.get(ref)).spec as { clusterIPs: readonly string[] };
      expect(clusterIPs).toHaveLength(2);
      const hostnames = [host, "api.internal.example.com"];
      return clusterIPs.map((ip) => ({ ip, hostnames }));
    };

    it.each([
      ["by a secret volume", routedPod("tenant", "by-volume")],
      [
        "by a projected secret",
        pod("tenant", "by-projection", {
          volumes: [
            {
              name: "kubeconfig",
              projected: { sources: [{ secret: { name: "generic-token-kubeconfig" } }] },
            },
          ],
        }),
      ],
      [
        "by its label",
        {
          ...pod("tenant", "by-label"),
          metadata: {
            name: "by-label",
            namespace: "tenant",
            labels: { "fairlead.dev/route": "true" },
          },
        },
      ],
    ])("created by kubectl are routed %s", async (_how, given) => {
      const hostAliases = await expectedAliases();
      const args = ["create", "-f", "-", "-o", "json"];
      const dry = JSON.parse(
        await stage.kubectl([...args, "--dry-run=server"], given),
      ) as AnyObject;
      const created = JSON.parse(await stage.kubectl(args, given)) as AnyObject;
      for (const routed of [dry, created]) {
        expect(routed.spec?.hostAliases).toEqual(hostAliases);
        expect(routed.metadata.labels).toEqual({
          ...given.metadata.labels,
          [label]: "allowed",
        });
        expect(routed.metadata.annotations).toBeUndefined();
      }
    });

    it("with a generated name are routed", async () => {
      const { spec, ...rest } = routedPod("tenant", "");
      const given = { ...rest, metadata: { generateName: "generated-" }, spec };
      const args = ["create", "-n", "tenant", "-f", "-", "-o", "json"];
      const created = JSON.parse(await stage.kubectl(args, given)) as AnyObject;
      expect(created.metadata.name).toMatch(/^generated-.{5}$/);
      expect(created.spec?.hostAliases).toEqual(await expectedAliases());
      expect(created.metadata.labels).toEqual({ [label]: "allowed" });
    });

    it.each([
      ["that mount no kubeconfig", pod("tenant", "unrelated")],
      ["of a namespace without a route", routedPod("plain", "no-route")],
      [
        "that opted out",
        {
          ...routedPod("tenant", "opted-out"),
          metadata: {
            name: "opted-out",
            namespace: "tenant",
            labels: { "fairlead.dev/route": "false" },
          },
        },
      ],
    ])("%s come back untouched", async (_which, given) => {
      const created = JSON.parse(
        await stage.kubectl(["create", "-f", "-", "-o", "json"], given),
      ) as AnyObject;
      expect(created.metadata.annotations).toBeUndefined();
      expect(created.metadata.labels).toEqual(given.metadata.labels);
      expect(created.spec?.hostAliases).toBeUndefined();
    });

    it("are left alone after their creation", async () => {
      const args = ["-n", "tenant", "pod", "unrelated"];
      await stage.kubectl(["label", ...args, "fairlead.dev/route=true"]);
      const ephemeral = {
        spec: {
          ephemeralContainers: [{ name: "debug", image: "registry.example.com/debug:1" }],
        },
      };
      const ref = { kind: "Pod", namespace: "tenant", name: "unrelated" } as const;
      const { body } = await stage.api.patch(ref, ephemeral, "/ephemeralcontainers");
      expect(body.spec?.ephemeralContainers).toHaveLength(1);
      const after = await stage.api.get(ref);
      expect(after.metadata.labels).toEqual({ "fairlead.dev/route": "true" });
      expect(after.metadata.annotations).toBeUndefined();
      expect(after.spec?.hostAliases).toBeUndefined();
    });

    it("with an alias of their own keep it, and kubectl shows the warning", async () => {
      const [first] = await expectedAliases();
      const own = { ip: "192.0.2.1", hostnames: [host] };
      const base = routedPod("tenant", "own-alias");
      const given = { ...base, spec: { ...base.spec, hostAliases: [own] } };
      const args = ["create", "--dry-run=server", "-f", "-", "-o", "json"];
      const { stdout, stderr } = await stage.cluster.kubectl(args, { input: toInput(given) });
      const aliases = (JSON.parse(stdout) as AnyObject).spec?.hostAliases;
      expect(aliases).toContainEqual(own);
      expect(aliases).toContainEqual({ ...first, hostnames: ["api.internal.example.com"] });
      expect(stderr).toMatch(/^Warning: /);
      expect(stderr).toContain(
        `fairlead: ${host} keeps this Pod's own alias to 192.0.2.1 and does not lead to the gateway; remove the alias to route it.`,
      );
    });

    it.each(denials)("of namespace %s are denied, and kubectl says why", async (...args) => {
      const [name, , sentence] = args;
      const said = await stage.refusal(["create", "-f", "-"], routedPod(name, "denied"));
      expect(said).toContain(
        `fairlead: ConfigMap ${name}/istio-internal-load-balancing ${sentence}`,
      );
      expect(said).not.toContain("without explanation");
    });

    it("are routed once a broken route is mended", async () => {
      const data = { hosts: host, "istio-namespace": gatewayNamespace };
      const ref = {
        kind: "ConfigMap",
        namespace: "no-hosts",
        name: "istio-internal-load-balancing",
      } as const;
      await stage.api.patch(ref, { data });
      // The policy that denies and the one that routes hear of it each for itself.
      await eventually(async () => {
        const { body } = await stage.api.tryToCreate(routedPod("no-hosts", "mended"));
        expect(body.metadata.labels).toEqual({ [label]: "allowed" });
      });
    });
  });

  describe("Services", () => {
    beforeAll(async () => {
      await stage.api.create(
        hostedAPIServer("control-plane", "main", { topologyAware: { enabled: true } }),
      );
    });

    it("are topology-aware once their HostedAPIServer was seen", async () => {
      const trial = service("control-plane", "vpa-webhook");
      await eventually(async () => {
        const { body } = await stage.api.tryToCreate(trial);
        expect(body.spec?.trafficDistribution).toBe(distribution);
      });
    });

    it.each(zonalServices)("created by kubectl are topology-aware: %s", async (name) => {
      const args = ["create", "-f", "-", "-o", "json"];
      const given = service("control-plane", name);
      const dry = JSON.parse(
        await stage.kubectl([...args, "--dry-run=server"], given),
      ) as AnyObject;
      const created = JSON.parse(await stage.kubectl(args, given)) as AnyObject;
      for (const aware of [dry, created]) {
        expect(aware.spec?.trafficDistribution).toBe(distribution);
        expect(aware.metadata.annotations).toEqual({
          "fairlead.dev/traffic-distribution": distribution,
        });
      }
    });

    it("keep the value over kubectl apply by the field's owner", async () => {
      const given = service("control-plane", "etcd-main-client");
      const args = ["apply", "--server-side", "--force-conflicts", "-f", "-", "-o", "json"];
      const applied = JSON.parse(await stage.kubectl(args, given)) as AnyObject;
      expect(applied.spec?.trafficDistribution).toBe(distribution);
    });

    it.each([
      ["that nobody selected", service("control-plane", "unrelated")],
      ["of other namespaces", service("plain", "etcd-main-client")],
      [
        "of the hosted API server itself, as long as it may be L7",
        service("control-plane", "kube-apiserver"),
      ],
    ])("%s come back untouched", async (_which, given) => {
      const created = JSON.parse(
        await stage.kubectl(["create", "-f", "-", "-o", "json"], given),
      ) as AnyObject;
      expect(created.metadata.annotations).toBeUndefined();
      expect(created.spec?.trafficDistribution).toBeUndefined();
    });

    it("with another value keep it", async () => {
      const base = service("plain", "foreign", { trafficDistribution: "PreferClose" });
      const labels = { "fairlead.dev/topology-aware": "true" };
      const given = { ...base, metadata: { ...base.metadata, labels } };
      const { body } = await stage.api.tryToCreate(given);
      expect(body.spec?.trafficDistribution).toBe("PreferClose");
      expect(body.metadata.annotations).toBeUndefined();
    });

    it("with the annotation that would override the field are warned of it", async () => {
      const base = service("plain", "overridden");
      const metadata = {
        ...base.metadata,
        labels: { "fairlead.dev/topology-aware": "true" },
        annotations: { "service.kubernetes.io/topology-mode": "Auto" },
      };
      const answer = await stage.api.tryToCreate({ ...base, metadata });
      expect(answer.body.spec?.trafficDistribution).toBeUndefined();
      expect(answer.warnings).toEqual([
        expect.stringContaining(
          'service.kubernetes.io/topology-mode overrides trafficDistribution, so fairlead does not set it on Service overridden: remove the annotation to let fairlead do so, or label the Service fairlead.dev/topology-aware: "false".',
        ),
      ]);
    });
  });

  it("leaves objects of other kinds alone", async () => {
    const { body } = await stage.api.create(configMap("plain", "other", { a: "b" }));
    expect(body.metadata.annotations).toBeUndefined();
  });
});
