import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseAllDocuments, parse } from "yaml";
import type { HostedAPIServer } from "../../lib/api";
import { namedServices, webhookRules } from "../../lib/domain/webhook";
import { foldersIn, loadAdapter, type Given } from "../cases/runner";
import { startCluster, type EmbeddedCluster } from "../cluster";
import { Api, Refusal, type AnyObject } from "../harness/api";
import { eventually } from "../harness/eventually";
import { namespace, pod, routedPod, service } from "../harness/objects";
import { START_TIMEOUT_MS } from "../harness/stage";
import { kubernetesVersionsUnderTest } from "./versions";

// What the conditions let through is found out from the API server itself: nobody answers at the webhook's address, so
// an object that reaches it is refused, and with other words than any other object.

jest.setTimeout(120_000);

const casesFolder = resolve(__dirname, "../cases");
const CALLED = 'failed calling webhook "rules.fairlead.dev"';

interface Case {
  readonly name: string;
  readonly subject: AnyObject;
  readonly given: Given;
  /** Whether the handler changes, denies or warns of it. */
  readonly concerns: boolean;
}

interface Outcome {
  readonly verdict: "changed" | "unchanged" | "denied";
  readonly warnings?: readonly string[];
}

function readGiven(folder: string): Given {
  const documents = parseAllDocuments(readFileSync(join(folder, "given.yaml"), "utf8"))
    .map((document) => document.toJS() as (AnyObject & { spec: Given["world"] }) | null)
    .filter((document) => document !== null);
  return {
    world: documents.find(({ kind }) => kind === "World")?.spec ?? {},
    objects: documents.filter(({ kind }) => kind !== "World") as unknown as Given["objects"],
  };
}

/** The cases of a capability that are about an object that is created or updated. */
async function readCases(capability: string, kind: string): Promise<readonly Case[]> {
  const adapter = await loadAdapter(capability);
  return foldersIn(join(casesFolder, capability)).flatMap((name) => {
    const folder = join(casesFolder, capability, name);
    const subject = parse(readFileSync(join(folder, "when.yaml"), "utf8")) as AnyObject;
    if (subject.kind !== kind) return [];
    const given = readGiven(folder);
    const { verdict, warnings } = adapter.run(given, subject) as Outcome;
    return [{ name, subject, given, concerns: verdict !== "unchanged" || warnings !== undefined }];
  });
}

function configuration(scope: Parameters<typeof webhookRules>[0]): AnyObject {
  const clientConfig = { url: "https://127.0.0.1:1/" };
  return {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "MutatingWebhookConfiguration",
    metadata: { name: "rules" },
    webhooks: [
      {
        name: "rules.fairlead.dev",
        admissionReviewVersions: ["v1"],
        clientConfig,
        failurePolicy: "Fail",
        ...webhookRules(scope),
      },
    ],
  };
}

/** Whether a write is let through to the webhook. What is invalid is refused only after that. */
async function reachesWebhook(write: () => Promise<unknown>): Promise<boolean> {
  try {
    await write();
    return false;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    if (error.message.includes(CALLED)) return true;
    if (error.code === 422) return false;
    throw error;
  }
}

describe.each(kubernetesVersionsUnderTest())("the webhook's rules on Kubernetes %s", (version) => {
  const isOld = Number(version.split(".")[1]) < 34;
  let cluster: EmbeddedCluster;
  let api: Api;
  let podCases: readonly Case[];
  let serviceCases: readonly Case[];

  /** The object in a namespace of its own, with no value that an old API server does not know. */
  const placed = (object: AnyObject, prefix: string, index: number): AnyObject => {
    const text = JSON.stringify(object);
    const known = JSON.parse(
      isOld ? text.replaceAll("PreferSameZone", "PreferClose") : text,
    ) as AnyObject;
    const { resourceVersion: _version, uid: _uid, ...metadata } = known.metadata;
    const name = metadata.name === undefined ? { generateName: "some-" } : {};
    return { ...known, metadata: { ...metadata, ...name, namespace: `${prefix}-${index}` } };
  };

  const previousOf = ({ given, subject }: Case): AnyObject | undefined =>
    (given.objects as unknown as readonly AnyObject[]).find(
      ({ kind, metadata }) =>
        kind === "Service" &&
        metadata.name === subject.metadata.name &&
        metadata.namespace === subject.metadata.namespace,
    );

  const tryCase = async (one: Case, prefix: string, index: number): Promise<boolean> => {
    const object = placed(one.subject, prefix, index);
    if (previousOf(one) === undefined) return reachesWebhook(() => api.tryToCreate(object));
    const { namespace: inNamespace = "", name = "" } = object.metadata;
    const { metadata } = await api.get({ kind: "Service", namespace: inNamespace, name });
    const { resourceVersion = "" } = metadata;
    const replacement = { ...object, metadata: { ...object.metadata, resourceVersion } };
    return reachesWebhook(() => api.replace(replacement, "dryRun=All"));
  };

  /** Which of the cases that concern the handler don't reach it, and which others do. */
  const compare = async (cases: readonly Case[], prefix: string) => {
    const missed: string[] = [];
    const needless: string[] = [];
    for (const [index, one] of cases.entries()) {
      const reached = await tryCase(one, prefix, index);
      if (one.concerns && !reached) missed.push(one.name);
      if (!one.concerns && reached) needless.push(one.name);
    }
    return { missed, needless };
  };

  beforeAll(async () => {
    cluster = await startCluster({ version });
    api = new Api(cluster);
    podCases = await readCases("pods", "Pod");
    serviceCases = await readCases("services", "Service");
    await api.createAll(podCases.map((_, index) => namespace(`pods-${index}`)));
    await api.createAll(serviceCases.map((_, index) => namespace(`services-${index}`)));
    for (const [index, one] of serviceCases.entries()) {
      const previous = previousOf(one);
      if (previous === undefined) continue;
      const { deletionTimestamp: _deletion, ...metadata } = previous.metadata;
      await api.create(placed({ ...previous, metadata }, "services", index));
    }
    const hapis = serviceCases
      .flatMap(({ given }) => given.objects)
      .filter(({ kind }) => kind === "HostedAPIServer");
    const serviceNames = namedServices(hapis as unknown as readonly HostedAPIServer[]);
    await cluster.kubectl(["create", "--validate=strict", "-f", "-"], {
      input: JSON.stringify(configuration({ serviceNames })),
    });
    // Any object that must reach it tells when the API server has heard of it.
    const first = routedPod("pods-0", "first");
    await eventually(async () => {
      const isReached = await reachesWebhook(() => api.tryToCreate(first));
      if (!isReached) throw new Error("the webhook is not called yet");
    });
  }, START_TIMEOUT_MS);
  afterAll(async () => {
    api.close();
    await cluster.stop();
  });

  it("let every Pod through that the handler changes, denies or warns of", async () => {
    const { missed, needless } = await compare(podCases, "pods");

    expect(podCases.filter(({ concerns }) => concerns).length).toBeGreaterThan(50);
    expect(missed).toEqual([]);
    // What else reaches it depends on what no condition can know: there is no route, or it is followed already.
    expect(needless).toEqual([
      "a-config-map-of-another-namespace-does-not-count",
      "a-pod-that-is-routed-already-is-left-alone",
      "in-an-empty-cluster-a-labelled-pod-is-left-alone",
      "without-a-config-map-nothing-is-done",
    ]);
  });

  it("let every Service through that the handler changes or warns of", async () => {
    const { missed, needless } = await compare(serviceCases, "services");

    expect(serviceCases.filter(({ concerns }) => concerns).length).toBeGreaterThan(40);
    expect(missed).toEqual([]);
    expect(needless).not.toContain("a-value-of-somebody-else-is-kept");
    expect(needless).not.toContain("the-opt-out-label-keeps-a-default-service-out");
    expect(needless).not.toContain("by-default-other-services-are-left-alone");
  });

  it.each(["kube-system", "pepr-system"])("leave %s alone", async (name) => {
    if (name !== "kube-system") await api.create(namespace(name));

    expect(await reachesWebhook(() => api.tryToCreate(routedPod(name, "routed")))).toBe(false);
    const own = service(name, "etcd-main-client");
    expect(await reachesWebhook(() => api.tryToCreate(own))).toBe(false);
  });

  it("leave subresources, deletions and updates of Pods alone", async () => {
    const { metadata, ...rest } = routedPod("pods-0", "existing");
    const plain = { ...rest, metadata, spec: pod("pods-0", "existing").spec };
    await api.create(plain);
    const ref = { kind: "Pod", namespace: "pods-0", name: "existing" } as const;
    const label = { metadata: { labels: { "fairlead.dev/route": "true" } } };
    const binding = {
      apiVersion: "v1",
      kind: "Binding",
      metadata: { name: "existing" },
      target: { kind: "Node", name: "nowhere" },
    };

    expect(await reachesWebhook(() => api.patch(ref, label))).toBe(false);
    expect(await reachesWebhook(() => api.patch(ref, label, "/status"))).toBe(false);
    const { exitCode } = await cluster.kubectl(
      ["create", "--raw", "/api/v1/namespaces/pods-0/pods/existing/binding", "-f", "-"],
      { input: JSON.stringify(binding) },
    );
    expect(exitCode).toBe(0);
    await api.remove(ref);
    expect(await api.find(ref)).toBeUndefined();
  });

  it("never refuse an object by themselves, whatever it lacks", async () => {
    const bare = [
      pod("pods-0", "bare"),
      pod("pods-0", "volumes", {
        volumes: [
          { name: "a", emptyDir: {} },
          { name: "b", projected: { sources: [] } },
          { name: "c", projected: { sources: [{ downwardAPI: { items: [] } }] } },
          { name: "d", secret: { secretName: "other", optional: true } },
        ],
      }),
      service("pods-0", "bare"),
      service("pods-0", "external", { type: "ExternalName", externalName: "example.com" }),
    ];

    for (const object of bare) {
      expect((await api.tryToCreate(object)).code).toBe(201);
    }
  });
});
