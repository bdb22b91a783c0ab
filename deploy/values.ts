import { Type, type Static, type TSchema } from "@sinclair/typebox";
import { Document, isMap, type Pair, type Scalar, type YAMLMap } from "yaml";
import { StringEnum } from "../lib/api/schema";
import { ADMISSION_SETTINGS } from "../lib/domain/settings";
import { COMMON_LABELS } from "./names";

// values.yaml and values.schema.json come from here, so that they can't differ.

const described = (description: string): { description: string } => ({ description });
const strict = (description: string): { description: string; additionalProperties: false } => ({
  description,
  additionalProperties: false,
});

/** A name of a namespace. */
const namespaceName = Type.String({ pattern: "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$" });
const namespaceNames = (description: string, minItems = 0): ReturnType<typeof namespacesOf> =>
  namespacesOf({ description, minItems, uniqueItems: true });
const namespacesOf = (options: { description: string; minItems: number; uniqueItems: true }) =>
  Type.Array(namespaceName, options);

const quantity = Type.Union([Type.String(), Type.Number()]);
const resources = Type.Object(
  {
    requests: Type.Optional(Type.Record(Type.String(), quantity)),
    limits: Type.Optional(Type.Record(Type.String(), quantity)),
  },
  strict("Requests and limits; the figures behind them are in bench/README.md."),
);
const anyObjects = (description: string) =>
  Type.Array(Type.Object({}, { additionalProperties: true }), described(description));
const anyObject = (description: string) =>
  Type.Object({}, { additionalProperties: true, description });

const ports = (description: string) =>
  Type.Array(
    Type.Object(
      {
        protocol: StringEnum(["TCP", "UDP"]),
        port: Type.Integer({ minimum: 1, maximum: 65_535 }),
        endPort: Type.Optional(Type.Integer({ minimum: 1, maximum: 65_535 })),
      },
      { additionalProperties: false },
    ),
    { description, minItems: 1 },
  );

const found = (what: string, needs: string, by: string) =>
  Type.Object(
    {
      enabled: Type.Boolean(described(needs)),
      labels: Type.Record(
        Type.String(),
        Type.String(),
        described(`Labels by which ${by} finds it.`),
      ),
    },
    strict(what),
  );
const monitoring = (what: string) =>
  found(what, "Needs the kinds of the Prometheus operator.", "your Prometheus");

const nodeOptions = Type.String(
  described(
    "NODE_OPTIONS. A heap that may grow to the limit of memory is collected late; with a memory limit of your own, set about half of it.",
  ),
);

const processValues = (what: string, replicas: ReturnType<typeof Type.Integer>) =>
  Type.Object({ replicas, resources, nodeOptions }, strict(what));

/** The schema of values.yaml. */
export const valuesSchema = Type.Object(
  {
    namespace: Type.Object(
      {
        create: Type.Boolean(
          described(
            "Make Namespace pepr-system, labelled for restricted Pod Security. false: it is there already, as it must be to hold the release itself.",
          ),
        ),
      },
      strict("fairlead runs in pepr-system, where Pepr's processes look for their store."),
    ),
    image: Type.Object(
      {
        reference: Type.String({
          minLength: 1,
          description:
            "Pepr's controller of the version that the module was built with: a mirror's, or one with a digest (@sha256:…), is as good.",
        }),
        pullPolicy: StringEnum(["Always", "IfNotPresent", "Never"]),
        pullSecrets: anyObjects("As imagePullSecrets of a Pod: [{name: …}]."),
      },
      strict("The image of both processes."),
    ),
    admission: Type.Object(
      {
        mode: StringEnum(
          [...ADMISSION_SETTINGS],
          described(
            "By what Pods and Services are admitted. Auto: by the cluster's own policies where it serves MutatingAdmissionPolicies, else by the webhook. docs/policies.md.",
          ),
        ),
        replicas: Type.Integer({
          minimum: 2,
          maximum: 10,
          description: "At least two: without any, matching Pods and Services are refused.",
        }),
        resources,
        nodeOptions,
      },
      strict("The processes that answer the API server's calls."),
    ),
    watch: processValues(
      "The process that brings objects in line.",
      Type.Integer({
        minimum: 0,
        maximum: 2,
        description:
          "One is enough: its absence for a minute is not felt. Two do no harm, and read everything twice.",
      }),
    ),
    scheduling: Type.Object(
      {
        nodeSelector: Type.Record(Type.String(), Type.String()),
        tolerations: anyObjects("By default a Pod of a lost node is replaced after 30 s."),
        affinity: anyObject("As of a Pod. The replicas are spread over zones and nodes already."),
        priorityClassName: Type.String(
          described("Control planes' Pods wait for fairlead's, so they go before others."),
        ),
        criticalPodsQuota: Type.Boolean(
          described(
            "A ResourceQuota that admits critical Pods: some clusters let no Pod be system-cluster-critical elsewhere than in kube-system without one.",
          ),
        ),
      },
      strict("Where the Pods of both processes go."),
    ),
    logLevel: StringEnum(
      ["debug", "info", "warn", "error"],
      described("debug adds why each object was left alone."),
    ),
    settings: Type.Record(Type.String({ pattern: "^(FAIRLEAD|PEPR)_[A-Z0-9_]+$" }), Type.String(), {
      ...strict("Environment of both processes: docs/settings.md. Values are strings."),
    }),
    rbac: Type.Object(
      {
        gatewayNamespaces: namespaceNames(
          "Where InternalGateways are: there fairlead may write Secrets, Services, NetworkPolicies and Istio's objects.",
        ),
        restricted: Type.Boolean(
          described(
            "true: nothing outside of the listed namespaces is read or written (fairlead's own kinds, Namespaces and Nodes aside). false: control planes may be in any namespace.",
          ),
        ),
        controlPlaneNamespaces: namespaceNames(
          "In the restricted mode: where HostedAPIServers are.",
        ),
      },
      {
        ...strict("What fairlead may do; docs/rbac.md lists it."),
        // To be restricted to no namespaces can't be told from not being restricted.
        if: { properties: { restricted: { const: true } } },
        then: {
          properties: {
            gatewayNamespaces: { minItems: 1 },
            controlPlaneNamespaces: { minItems: 1 },
          },
        },
      },
    ),
    admissionPolicies: Type.Object(
      {
        guardGateways: Type.Boolean(
          described(
            "Nobody but fairlead uses its credentials at a gateway, nor routes where a gateway shows its own certificate.",
          ),
        ),
        guardWrites: Type.Boolean(
          described("fairlead's own rights are narrowed to what it has need of; docs/rbac.md."),
        ),
      },
      strict("ValidatingAdmissionPolicies."),
    ),
    networkPolicy: Type.Object(
      {
        enabled: Type.Boolean(described("NetworkPolicies for fairlead's own Pods.")),
        apiServer: ports("Ports of the cluster's API servers, behind their Service."),
        gateways: ports("Target ports of InternalGateways, and their ports for tunnels."),
        hostedAPIServers: ports("Ports of hosted API servers' Pods."),
      },
      strict("The API server and hosts have no Pods to be named by, so ports are what is limited."),
    ),
    crds: Type.Object(
      {
        install: Type.Boolean(
          described("Install and upgrade the CustomResourceDefinitions. They outlive the release."),
        ),
      },
      strict("fairlead's own kinds, and the kind of Pepr's store."),
    ),
    serviceMonitor: monitoring("A ServiceMonitor for both processes."),
    prometheusRule: monitoring("A PrometheusRule with fairlead's alerts."),
    grafanaDashboard: found(
      "A ConfigMap with fairlead's dashboard.",
      "Needs a Grafana whose sidecar looks for dashboards.",
      "Grafana's sidecar",
    ),
    global: Type.Optional(anyObject("Helm's own: values of a chart that this one is a part of.")),
  },
  {
    $schema: "http://json-schema.org/draft-07/schema#",
    title: "Values of fairlead's chart",
    additionalProperties: false,
  },
);

/** values.yaml. */
export type ChartValues = Static<typeof valuesSchema>;

const lostNode = (condition: string): object => ({
  key: `node.kubernetes.io/${condition}`,
  operator: "Exists",
  effect: "NoExecute",
  tolerationSeconds: 30,
});
const tcp = (...numbers: readonly number[]): { protocol: "TCP"; port: number }[] =>
  numbers.map((port) => ({ protocol: "TCP", port }));

// V8 lets garbage lie for long where a heap may become large: at 300 control planes, 316 MiB were resident of which 65
// were in use, and 186 with these, at the same CPU time.
const nodeOptionsOf = (heapMiB: number): string =>
  `--max-old-space-size=${heapMiB} --max-semi-space-size=4`;

/** The values of the plain manifest, and the chart's where a user gives none. */
export function defaultValues(image: string): ChartValues {
  return {
    namespace: { create: true },
    image: { reference: image, pullPolicy: "IfNotPresent", pullSecrets: [] },
    admission: {
      mode: "Auto",
      replicas: 2,
      // No limit of CPU: to be throttled is to answer too late.
      resources: { requests: { cpu: "100m", memory: "192Mi" }, limits: { memory: "512Mi" } },
      nodeOptions: nodeOptionsOf(256),
    },
    watch: {
      replicas: 1,
      resources: { requests: { cpu: "100m", memory: "256Mi" }, limits: { memory: "1Gi" } },
      nodeOptions: nodeOptionsOf(512),
    },
    scheduling: {
      nodeSelector: {},
      tolerations: [lostNode("not-ready"), lostNode("unreachable")],
      affinity: {},
      priorityClassName: "system-cluster-critical",
      criticalPodsQuota: true,
    },
    logLevel: "info",
    settings: {},
    rbac: { gatewayNamespaces: ["istio-ingress"], restricted: false, controlPlaneNamespaces: [] },
    admissionPolicies: { guardGateways: true, guardWrites: true },
    networkPolicy: {
      enabled: true,
      apiServer: tcp(443, 6443),
      gateways: tcp(9443, 8132),
      hostedAPIServers: tcp(443, 6443),
    },
    crds: { install: true },
    serviceMonitor: { enabled: false, labels: COMMON_LABELS },
    prometheusRule: { enabled: false, labels: COMMON_LABELS },
    grafanaDashboard: { enabled: false, labels: { ...COMMON_LABELS, grafana_dashboard: "1" } },
  };
}

function comment(map: YAMLMap, schema: TSchema): void {
  const properties = (schema.properties ?? {}) as Readonly<Record<string, TSchema>>;
  for (const pair of map.items as Pair<Scalar<string>>[]) {
    const property = properties[pair.key.value];
    if (property === undefined) continue;
    if (property.description !== undefined) pair.key.commentBefore = ` ${property.description}`;
    if (isMap(pair.value) && !pair.value.flow) comment(pair.value, property);
  }
}

/** values.yaml, each value with its description. */
export function valuesYaml(values: ChartValues): string {
  const document = new Document(values);
  comment(document.contents as unknown as YAMLMap, valuesSchema);
  return document.toString({ lineWidth: 0 });
}
