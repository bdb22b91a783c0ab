import { KubeConfig } from "@kubernetes/client-node";
import { webhookController, type WebhookController } from "../../capabilities/webhook";
import type { HostedAPIServer } from "../../lib/api";
import {
  AdmissionMode,
  Connection,
  KubernetesClient,
  openHostedAPIServers,
  silentLogger,
  systemClock,
  type Cache,
} from "../../lib/cluster";
import { toCertificate } from "../../lib/domain/certificates";
import { createCA, issue } from "../cluster";
import { eventually } from "../harness/eventually";
import { decode, namespace, secret } from "../harness/objects";
import { setStage, START_TIMEOUT_MS, type Stage } from "../harness/stage";
import { kubernetesVersionsUnderTest } from "./versions";

jest.setTimeout(180_000);

const user = "webhook-keeper";
const system = "pepr-system";

/** What docs/webhook.md says that it takes. */
const clusterRules = [
  {
    apiGroups: ["admissionregistration.k8s.io"],
    resources: ["mutatingwebhookconfigurations"],
    resourceNames: ["pepr-fairlead"],
    verbs: ["get", "list", "watch", "patch"],
  },
  { apiGroups: ["fairlead.dev"], resources: ["hostedapiservers"], verbs: ["list", "watch"] },
];
const systemRules = [
  {
    apiGroups: [""],
    resources: ["secrets"],
    resourceNames: ["pepr-fairlead-tls"],
    verbs: ["get", "list", "watch", "patch"],
  },
  { apiGroups: ["discovery.k8s.io"], resources: ["endpointslices"], verbs: ["list", "watch"] },
];

function rbac(kind: "ClusterRole" | "Role", rules: readonly object[]): readonly object[] {
  const apiVersion = "rbac.authorization.k8s.io/v1";
  const metadata = kind === "Role" ? { name: user, namespace: system } : { name: user };
  const roleRef = { apiGroup: "rbac.authorization.k8s.io", kind, name: user };
  const subjects = [{ kind: "User", name: user }];
  return [
    { apiVersion, kind, metadata, rules },
    { apiVersion, kind: `${kind}Binding`, metadata, roleRef, subjects },
  ];
}

/** As Pepr makes it; nobody is called, since nothing that it matches is created. */
function configurationOf(name: string, caPem: string): object {
  const caBundle = Buffer.from(caPem).toString("base64");
  const service = { name: "pepr-fairlead", namespace: system, path: "/mutate/x" };
  return {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "MutatingWebhookConfiguration",
    metadata: { name },
    webhooks: [
      {
        name: "pepr-fairlead.pepr.dev",
        admissionReviewVersions: ["v1"],
        clientConfig: { service, caBundle },
        rules: [
          {
            apiGroups: ["example.com"],
            apiVersions: ["v1"],
            operations: ["CREATE"],
            resources: ["x"],
          },
        ],
        sideEffects: "None",
      },
    ],
  };
}

describe.each(kubernetesVersionsUnderTest())("on Kubernetes %s", (version) => {
  let stage: Stage;
  let controller: WebhookController;
  let hostedAPIServers: Cache<HostedAPIServer>;
  let firstPem: string;

  beforeAll(async () => {
    // Two thirds of its life are over.
    const validity = {
      notBefore: new Date(Date.now() - 300 * 86_400_000),
      notAfter: new Date(Date.now() + 65 * 86_400_000),
    };
    const ca = await createCA({ commonName: "ca", ...validity });
    const leaf = await issue(ca, {
      commonName: "webhook",
      dnsNames: ["pepr-fairlead.pepr-system.svc"],
      usages: ["server"],
      ...validity,
    });
    firstPem = leaf.certificatePem;
    const serving = { "tls.crt": leaf.certificatePem, "tls.key": leaf.privateKeyPem };
    stage = await setStage({ version, fairlead: { processes: ["watch"] } });
    await stage.fairlead.watch.stop();
    await stage.api.createAll([
      secret(system, "pepr-fairlead-tls", serving),
      secret(system, "another", { text: "secret" }),
      configurationOf("pepr-fairlead", ca.certificatePem),
      configurationOf("pepr-fairlead-too", ca.certificatePem),
      namespace("other"),
    ]);
    const roles = [...rbac("ClusterRole", clusterRules), ...rbac("Role", systemRules)];
    await stage.kubectl(["apply", "-f", "-"], roles);
    // Until the API server has heard of either role and its binding: nothing is to be refused from then on.
    await eventually(async () => {
      for (const right of [
        ["watch", "hostedapiservers.fairlead.dev"],
        ["watch", "endpointslices.discovery.k8s.io", "-n", system],
      ]) {
        const { stdout } = await stage.cluster.kubectl(["auth", "can-i", ...right, "--as", user]);
        if (stdout.trim() !== "yes") throw new Error(`${user} may not ${right.join(" ")} yet`);
      }
    });
    const config = new KubeConfig();
    config.loadFromFile(await stage.cluster.kubeconfigFor({ name: user, groups: [] }));
    const client = new KubernetesClient(new Connection(config));
    const context = { client, clock: systemClock, log: silentLogger };
    hostedAPIServers = openHostedAPIServers(context);
    controller = webhookController({
      ...context,
      hostedAPIServers,
      mode: new AdmissionMode(),
      settings: { validityMs: 7_776_000_000, drainMs: 1_000, clusterDomain: "cluster.local" },
    });
  }, START_TIMEOUT_MS);

  afterAll(async () => {
    controller.stop();
    hostedAPIServers.stop();
    await stage.stop();
  });

  it("the webhook is kept in line with the rights that are documented, and no others", async () => {
    const ref = { kind: "Secret", namespace: system, name: "pepr-fairlead-tls" } as const;
    await eventually(
      async () => {
        expect(decode(await stage.api.get(ref))["tls.crt"]).not.toBe(firstPem);
      },
      { timeoutMs: 90_000 },
    );
    const [serving, mine, others] = await Promise.all([
      stage.api.get(ref),
      stage.api.get({ kind: "MutatingWebhookConfiguration", name: "pepr-fairlead" }),
      stage.api.get({ kind: "MutatingWebhookConfiguration", name: "pepr-fairlead-too" }),
    ]);
    expect(mine.webhooks).toMatchObject([
      {
        reinvocationPolicy: "IfNeeded",
        timeoutSeconds: 5,
        matchConditions: [{ name: "pods" }, { name: "services" }],
      },
    ]);
    expect(others.metadata.generation).toBe(1);
    const { dnsNames, notBeforeMs, notAfterMs } = toCertificate(decode(serving)["tls.crt"] ?? "");
    expect(dnsNames).toEqual([
      "pepr-fairlead.pepr-system.svc",
      "pepr-fairlead.pepr-system",
      "pepr-fairlead.pepr-system.svc.cluster.local",
    ]);
    // 90 days, and five minutes for clocks that differ.
    expect(notAfterMs - notBeforeMs).toBe(90 * 86_400_000 + 300_000);
    const events = await stage.cluster.auditEvents({ user });
    expect(events.filter(({ responseStatus }) => responseStatus?.code === 403)).toEqual([]);
    const refused = [
      ["get", "secret/another", "-n", system],
      ["list", "secrets", "-n", system],
      ["patch", "mutatingwebhookconfiguration/pepr-fairlead-too"],
      ["create", "secrets", "-n", system],
    ];
    for (const right of refused) {
      const { stdout } = await stage.cluster.kubectl(["auth", "can-i", ...right, "--as", user]);
      expect([...right, stdout.trim()]).toEqual([...right, "no"]);
    }
  });
});
