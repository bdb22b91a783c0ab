import { parse } from "yaml";
import { SUBSETS } from "../../capabilities/exposure/resources/subsets";
import { desiredServerSecret } from "../../capabilities/credentials/secrets";
import { installationOf, manifestObjects } from "../../deploy/chart";
import { packModule } from "../../deploy/objects";
import { defaultValues, valuesSchema, valuesYaml } from "../../deploy/values";
import type { HostedAPIServer } from "../../lib/api";
import type { AnyObject } from "../harness/api";
import { findObject } from "../harness/installation";

const image = "registry.example.com/controller:v1";
const request = {
  version: "1.2.3",
  description: "Leads.",
  image,
  failurePolicy: "Fail",
  module: packModule(Buffer.from("module.exports = 1;".repeat(100)), "launch();"),
} as const;
const objects = manifestObjects(request) as readonly unknown[] as readonly AnyObject[];

interface PodSpec {
  readonly containers: readonly Readonly<Record<string, unknown>>[];
  readonly [field: string]: unknown;
}
const deployments = objects.filter(({ kind }) => kind === "Deployment");
const podSpecs = deployments.map(
  ({ spec }) => (spec as unknown as { template: { spec: PodSpec } }).template.spec,
);

describe("the manifest", () => {
  it("has each object once", () => {
    const names = objects.map(({ kind, metadata }) =>
      [kind, metadata.namespace, metadata.name].join("/"),
    );

    expect(new Set(names).size).toBe(names.length);
    expect(names.length).toBeGreaterThan(40);
  });

  it("brings first what others need, and the webhook last", () => {
    const first = (kind: string): number => objects.findIndex((object) => object.kind === kind);

    expect(first("Namespace")).toBe(0);
    expect(first("CustomResourceDefinition")).toBe(1);
    expect(first("ServiceAccount")).toBeLessThan(first("Deployment"));
    expect(first("ConfigMap")).toBeLessThan(first("Deployment"));
    expect(first("ResourceQuota")).toBeLessThan(first("Deployment"));
    expect(first("MutatingWebhookConfiguration")).toBe(objects.length - 1);
  });

  it("holds no Secret's data, no key and nothing of the time at which it was built", () => {
    const secrets = objects.filter(({ kind }) => kind === "Secret");
    expect(secrets.map((object) => Object.keys(object))).toEqual([
      ["apiVersion", "kind", "metadata"],
    ]);
    const found = /PRIVATE KEY|LS0tLS1|buildTimestamp|caBundle/.exec(JSON.stringify(objects));
    expect(found).toBeNull();
    expect(manifestObjects(request)).toEqual(manifestObjects(request));
  });

  it("claims nothing by fairlead's own mark, which its sweeps go by, but the definitions of its kinds", () => {
    const marked = objects.filter(
      ({ metadata }) => metadata.labels?.["app.kubernetes.io/managed-by"] === "fairlead",
    );

    expect(new Set(marked.map(({ kind }) => kind))).toEqual(new Set(["CustomResourceDefinition"]));
  });

  it("names a ServiceAccount, a ConfigMap and a Service only if it brings it", () => {
    const has = (kind: string, name: unknown): boolean =>
      objects.some((object) => object.kind === kind && object.metadata.name === name);
    const text = JSON.stringify(podSpecs);
    const configMaps = [...text.matchAll(/"configMap(?:Ref)?":\{"name":"([^"]+)"/g)];

    expect(configMaps.length).toBeGreaterThanOrEqual(6);
    for (const [, name] of configMaps) expect(has("ConfigMap", name)).toBe(true);
    for (const { serviceAccountName } of podSpecs) {
      expect(has("ServiceAccount", serviceAccountName)).toBe(true);
    }
    const { webhooks } = findObject(objects, "MutatingWebhookConfiguration", "pepr-fairlead");
    const [webhook] = webhooks as { clientConfig: { service: { name: string } } }[];
    expect(has("Service", webhook?.clientConfig.service.name)).toBe(true);
  });

  it("has objects no larger than kubectl apply's annotation takes", () => {
    for (const object of objects) {
      expect(JSON.stringify(object).length).toBeLessThan(256 * 1024 - 2_048);
    }
  });
});

describe("both processes", () => {
  it("have a ServiceAccount each, and are two Deployments", () => {
    expect(deployments).toHaveLength(2);
    expect(podSpecs.map(({ serviceAccountName }) => serviceAccountName)).toEqual([
      "fairlead-admission",
      "fairlead-watch",
    ]);
  });

  it.each([0, 1])("can write nothing and gain nothing: %d", (index) => {
    const spec = podSpecs[index];
    expect(spec?.securityContext).toMatchObject({
      runAsNonRoot: true,
      seccompProfile: { type: "RuntimeDefault" },
    });
    expect(spec?.containers).toHaveLength(1);
    expect(spec?.containers[0]?.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      capabilities: { drop: ["ALL"] },
      privileged: false,
      readOnlyRootFilesystem: true,
    });
    const mounts = spec?.containers[0]?.volumeMounts as { readOnly?: boolean }[];
    expect(mounts.every(({ readOnly }) => readOnly === true)).toBe(true);
  });

  it.each([0, 1])("are asked how they are, and given time to end: %d", (index) => {
    const container = podSpecs[index]?.containers[0];
    const seconds = (probe: unknown): number => {
      const { periodSeconds, failureThreshold } = probe as Record<string, number>;
      return (periodSeconds ?? 0) * (failureThreshold ?? 0);
    };

    expect(seconds(container?.readinessProbe)).toBeLessThan(seconds(container?.livenessProbe));
    // A first certificate takes a kubelet up to two minutes.
    expect(seconds(container?.startupProbe)).toBeGreaterThanOrEqual(240);
    const { preStop } = container?.lifecycle as { preStop: { sleep: { seconds: number } } };
    const grace = podSpecs[index]?.terminationGracePeriodSeconds as number;
    expect(grace).toBeGreaterThan(preStop.sleep.seconds + 30);
  });

  it("keep the selectors of Pepr's manifest, which can't be changed", () => {
    const selectors = deployments.map(
      ({ metadata, spec }) => [metadata.name, (spec as { selector: object }).selector] as const,
    );

    expect(selectors).toEqual([
      [
        "pepr-fairlead",
        { matchLabels: { app: "pepr-fairlead", "pepr.dev/controller": "admission" } },
      ],
      [
        "pepr-fairlead-watcher",
        { matchLabels: { app: "pepr-fairlead-watcher", "pepr.dev/controller": "watcher" } },
      ],
    ]);
  });
});

describe("the roles", () => {
  interface Rule {
    readonly verbs: readonly string[];
    readonly resources?: readonly string[];
    readonly apiGroups?: readonly string[];
    readonly resourceNames?: readonly string[];
  }
  const roles = objects.filter(({ kind }) => kind === "ClusterRole" || kind === "Role");
  const rulesOf = (role: AnyObject): readonly Rule[] => role.rules as readonly Rule[];

  it("name every verb, group and kind", () => {
    const all = roles.flatMap(rulesOf);

    expect(JSON.stringify(all)).not.toContain("*");
    expect(JSON.stringify(all)).not.toMatch(/escalate|impersonate|"bind"/);
    expect(all.every(({ verbs }) => verbs.length > 0)).toBe(true);
  });

  it("let nobody write a Secret but where it is bound for that", () => {
    const writers = roles
      .filter((role) =>
        rulesOf(role).some(
          ({ resources = [], verbs }) =>
            resources.includes("secrets") && verbs.some((verb) => !/^(get|list|watch)$/.test(verb)),
        ),
      )
      .map(({ metadata }) => metadata.name);

    expect(writers).toEqual([
      "fairlead-gateway-namespace",
      "fairlead-control-plane-namespace",
      "fairlead-watch-system",
    ]);
    const bound = objects.filter(({ roleRef }) =>
      writers.includes((roleRef as { name?: string } | undefined)?.name),
    );
    expect(
      bound.map(({ kind, metadata, roleRef }) => [
        kind,
        metadata.namespace,
        (roleRef as { name: string }).name,
      ]),
    ).toEqual([
      ["RoleBinding", "istio-ingress", "fairlead-gateway-namespace"],
      ["ClusterRoleBinding", undefined, "fairlead-control-plane-namespace"],
      ["RoleBinding", "pepr-system", "fairlead-watch-system"],
    ]);
  });

  it.each([
    ["Auto", false, true],
    ["Policy", false, true],
    ["Webhook", false, false],
    ["Auto", true, false],
    ["Policy", true, true],
    ["Webhook", true, false],
  ] as const)(
    "with admission.mode %s, restricted: %p, let fairlead make policies: %p",
    (mode, restricted, expected) => {
      const values = defaultValues(image);
      const made = manifestObjects(request, {
        ...values,
        admission: { ...values.admission, mode },
        rbac: { ...values.rbac, restricted, controlPlaneNamespaces: ["tenant"] },
      }) as readonly unknown[] as readonly AnyObject[];
      const isBound = made.some(
        ({ kind, metadata }) =>
          kind === "ClusterRoleBinding" && metadata.name === "fairlead-policies",
      );

      expect(isBound).toBe(expected);
    },
  );

  it("give the admission process no Secret at all", () => {
    const bindings = objects.filter(({ subjects }) =>
      (subjects as { name: string }[] | undefined)?.some(
        ({ name }) => name === "fairlead-admission",
      ),
    );
    const bound = bindings.map(({ roleRef }) => (roleRef as { name: string }).name);

    expect(bound.length).toBeGreaterThan(2);
    for (const role of roles.filter(({ metadata }) => bound.includes(metadata.name ?? ""))) {
      expect(JSON.stringify(role.rules)).not.toContain("secrets");
    }
  });
});

describe("the policies", () => {
  const guard = findObject(objects, "ValidatingAdmissionPolicy", "fairlead-guard-gateways");
  const text = JSON.stringify(guard.spec);

  it("know the subset and the Secrets that fairlead makes", () => {
    const hapi = { metadata: { namespace: "a", name: "main", uid: "1" } } as HostedAPIServer;
    const pair = { chainPem: "", privateKeyPem: "" };
    const { name } = desiredServerSecret(
      { hapi, namespace: "istio-ingress" },
      pair as Parameters<typeof desiredServerSecret>[1],
      undefined,
    );
    const pattern = /matches\(\\"(.*?)\\"\)/.exec(text)?.[1] ?? "none";

    expect(name).toMatch(new RegExp(pattern));
    expect("some-tls-certificate").not.toMatch(new RegExp(pattern));
    expect(text).toContain(`== \\"${SUBSETS.trusted}\\"`);
  });
});

describe("the chart", () => {
  const values = defaultValues(image);
  const { chart } = installationOf(request);

  it("has its default values in values.yaml, and a schema of all of them", () => {
    expect(JSON.parse(chart["values.schema.json"] ?? "")).toEqual(
      JSON.parse(JSON.stringify(valuesSchema)),
    );
    expect(Object.keys(valuesSchema.properties).sort()).toEqual(
      [...Object.keys(values), "global"].sort(),
    );
    expect(parse(valuesYaml(values))).toEqual(values);
    expect(parse(chart["values.yaml"] ?? "")).toEqual(values);
  });

  it("has its version and the oldest Kubernetes in Chart.yaml", () => {
    expect(parse(chart["Chart.yaml"] ?? "")).toMatchObject({
      apiVersion: "v2",
      name: "fairlead",
      version: "1.2.3",
      appVersion: "1.2.3",
      kubeVersion: ">=1.31.0-0",
    });
  });
});
