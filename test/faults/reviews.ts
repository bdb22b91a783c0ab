import * as fc from "fast-check";

/** The part of an AdmissionReview that its sender fills in. */
export interface Review {
  readonly apiVersion: "admission.k8s.io/v1";
  readonly kind: "AdmissionReview";
  readonly request: Readonly<Record<string, unknown>> & { readonly uid: string };
}

type Arbitrary = fc.Arbitrary<unknown>;
/** What a field may be besides what it should be. */
type Vary = (usual: Arbitrary) => Arbitrary;

const NAMESPACES = ["routed", "broken", "elsewhere"];
const SECRETS = ["generic-token-kubeconfig", "generic-token-kubeconfig-1a2b", "other", ""];
const HOSTS = ["api.example.com", "db.example.org", "cache"];
/** No key of Kubernetes', and JSON patches must not name it. */
const PROTOTYPE = "__proto__";

const anyText = fc.oneof(fc.string({ maxLength: 40 }), fc.constantFrom("a/b", "~0~1", ""));
const anyTexts = fc.dictionary(anyText, anyText, { maxKeys: 4 });
const anyLabels = fc.oneof(
  anyTexts,
  fc.record({ "fairlead.dev/route": fc.constantFrom("true", "false", "TRUE") }),
  fc.record({ "fairlead.dev/topology-aware": fc.constantFrom("true", "false") }),
);
const anyAnnotations = fc.oneof(
  anyTexts,
  fc.record({ "fairlead.dev/traffic-distribution": fc.constantFrom("PreferClose", "x") }),
  fc.record({ "fairlead.dev/contested": fc.constantFrom("true", "") }),
);

/** Any of the fields, each as it should be or varied. */
function someOf(vary: Vary, fields: Readonly<Record<string, Arbitrary>>): Arbitrary {
  const varied = Object.fromEntries(
    Object.entries(fields).map(([name, arbitrary]) => [name, vary(arbitrary)]),
  );
  return fc.record(varied, { requiredKeys: [] });
}

function metadataOf(vary: Vary): Arbitrary {
  return someOf(vary, {
    name: anyText,
    generateName: fc.constant("controller-"),
    namespace: fc.constantFrom(...NAMESPACES),
    labels: anyLabels,
    annotations: anyAnnotations,
  });
}

function volumeOf(vary: Vary): Arbitrary {
  const secret = someOf(vary, { name: fc.constantFrom(...SECRETS) });
  return someOf(vary, {
    name: anyText,
    secret: someOf(vary, { secretName: fc.constantFrom(...SECRETS), optional: fc.boolean() }),
    projected: someOf(vary, {
      sources: fc.array(someOf(vary, { secret, configMap: fc.constant({}) }), { maxLength: 3 }),
    }),
    emptyDir: fc.constant({}),
  });
}

function podOf(vary: Vary): Arbitrary {
  const alias = someOf(vary, {
    ip: fc.constantFrom("10.96.3.7", "fd00::1", "::ffff:10.0.0.1", "no address"),
    hostnames: fc.array(fc.constantFrom(...HOSTS), { maxLength: 4 }),
  });
  const spec = someOf(vary, {
    volumes: fc.array(vary(volumeOf(vary)), { maxLength: 4 }),
    hostAliases: fc.array(vary(alias), { maxLength: 4 }),
    containers: fc.array(someOf(vary, { name: anyText, image: anyText }), { maxLength: 2 }),
  });
  return fc.record({
    apiVersion: fc.constant("v1"),
    kind: fc.constant("Pod"),
    metadata: vary(metadataOf(vary)),
    spec: vary(spec),
  });
}

/** What reaches the webhook most: whatever else there is in it. */
function routedPodOf(vary: Vary): Arbitrary {
  return fc
    .record({ pod: podOf(vary), metadata: vary(metadataOf(vary)) })
    .map(({ pod, metadata }) => {
      const { spec, ...rest } = pod as { spec?: object };
      const volumes = [{ name: "kubeconfig", secret: { secretName: SECRETS[0] } }];
      return { ...rest, metadata, spec: { ...spec, volumes } };
    });
}

function serviceOf(vary: Vary): Arbitrary {
  const spec = someOf(vary, {
    ports: fc.array(someOf(vary, { port: fc.integer() }), { maxLength: 2 }),
    type: fc.constantFrom("ClusterIP", "ExternalName", "LoadBalancer"),
    trafficDistribution: fc.constantFrom("PreferClose", "PreferSameZone", "Other"),
  });
  return fc.record({
    apiVersion: fc.constant("v1"),
    kind: fc.constant("Service"),
    metadata: vary(metadataOf(vary)),
    spec: vary(spec),
  });
}

function requestOf(
  { kind, resource, object }: { kind: string; resource: string; object: Arbitrary },
  vary: Vary,
) {
  return fc.record(
    {
      uid: fc.uuid(),
      kind: fc.constant({ group: "", version: "v1", kind }),
      resource: fc.constant({ group: "", version: "v1", resource }),
      operation: fc.constantFrom("CREATE", "CREATE", "CREATE", "UPDATE", "DELETE"),
      namespace: fc.constantFrom(...NAMESPACES),
      name: anyText,
      subResource: fc.constantFrom("", "", "status", "binding"),
      userInfo: fc.constant({ username: "somebody", groups: [] }),
      object: vary(object),
      oldObject: vary(object),
      dryRun: fc.boolean(),
    },
    { requiredKeys: ["uid", "kind", "resource", "operation", "userInfo", "object", "oldObject"] },
  );
}

function reviewsOf(vary: Vary): fc.Arbitrary<Review> {
  const [pod, routed, service] = [podOf(vary), routedPodOf(vary), serviceOf(vary)];
  const request = fc.oneof(
    requestOf({ kind: "Pod", resource: "pods", object: pod }, vary),
    requestOf({ kind: "Pod", resource: "pods", object: routed }, vary),
    requestOf({ kind: "Service", resource: "services", object: service }, vary),
    requestOf({ kind: "ConfigMap", resource: "configmaps", object: fc.constant({}) }, vary),
  );
  return request
    .filter((each) => !JSON.stringify(each).includes(PROTOTYPE))
    .map((each) => ({ apiVersion: "admission.k8s.io/v1", kind: "AdmissionReview", request: each }));
}

/** What an API server may send: it has read the object, so that all fields are of their types, whatever they hold. */
export const anyReview: fc.Arbitrary<Review> = reviewsOf((usual) => usual);

/** What no API server would send: now and then a field is something else altogether. */
export const anyBrokenReview: fc.Arbitrary<Review> = reviewsOf((usual) =>
  fc.oneof({ arbitrary: usual, weight: 12 }, { arbitrary: fc.jsonValue(), weight: 1 }),
);
