import type { EmbeddedCluster } from "../../../test/cluster";
import { formatDuration, percentile, type Figures } from "../figures";
import { configMapManifest, podManifest, type Pod } from "../objects";
import { aliasLines, shownPod } from "../pods";
import { wrap } from "../render";
import { kubectl, listOf, mustKubectl, showCommand, tryKubectl, until, type Stage } from "../stage";
import { GATEWAY_NAMESPACE } from "./gateway";

type PodFigures = Pick<
  Figures,
  "podCreations" | "podCreationP50Ms" | "podCreationP99Ms" | "apiCallsOfAdmissions"
>;

/** A control plane's namespace as Gardener makes it. */
const NAMESPACE = "shoot--demo--one";
const HOSTS = ["api.one.demo.example.com", "api.one.demo.internal.example.com"];
const ROUTE = "istio-internal-load-balancing";
const LABEL =
  "networking.resources.gardener.cloud/to-istio-ingress-istio-ingressgateway-internal-tcp-9443";
const CREATIONS = 50;
/** What a user sees of a denial: the sentence behind kubectl's and the webhook's own words. */
const DENIAL = /denied the request: (.*)$/s;

/** Waits until the admission process has seen a ConfigMap; a dry run leaves nothing behind. */
async function untilAdmission(stage: Stage, pod: Pod, verdict: "allows" | "denies"): Promise<void> {
  await until(stage, `fairlead ${verdict} Pod ${pod.metadata.name}`, async () => {
    const args = ["create", "--dry-run=server", "-f", "-"];
    const { succeeded } = await tryKubectl(stage, args, pod);
    return succeeded === (verdict === "allows") ? true : undefined;
  });
}

async function tellDenial(stage: Stage): Promise<void> {
  const { tell } = stage;
  tell.text(
    `Gardener writes ConfigMap ${ROUTE} itself, and needs no kind of fairlead's.`,
    "First without hosts, by mistake:",
  );
  const pod = podManifest(NAMESPACE, "kube-controller-manager");
  await mustKubectl(
    stage,
    ["apply", "-f", "-"],
    listOf([
      { apiVersion: "v1", kind: "Namespace", metadata: { name: NAMESPACE } },
      configMapManifest(NAMESPACE, ROUTE, { hosts: "", "istio-namespace": GATEWAY_NAMESPACE }),
    ]),
  );
  await untilAdmission(stage, pod, "denies");
  const args = ["create", "-f", "-"];
  showCommand(stage, args, pod);
  const { succeeded, stderr } = await tryKubectl(stage, args, pod);
  const sentence = DENIAL.exec(stderr)?.[1] ?? stderr;
  for (const line of wrap(stderr, 100)) tell.text(tell.style.removed(line));
  tell.claim(
    "the Pod is denied, and the sentence says what to fix: it would have run without its route",
    !succeeded && sentence.includes(`${NAMESPACE}/${ROUTE}`) && sentence.includes("hosts"),
    succeeded ? "it was created" : "it does not name the ConfigMap and its key",
  );
}

async function tellRouted(stage: Stage): Promise<void> {
  const { tell } = stage;
  tell.text("Then with them:");
  await kubectl(stage, ["apply", "-f", "examples/gardener-namespace.yaml"]);
  const pod = podManifest(NAMESPACE, "kube-controller-manager");
  await untilAdmission(stage, pod, "allows");
  const stored = JSON.parse(await kubectl(stage, ["create", "-o", "json", "-f", "-"], pod)) as Pod;
  tell.change(
    `Pod ${NAMESPACE}/kube-controller-manager, as it was sent and as it is stored:`,
    shownPod(pod),
    shownPod(stored),
  );
  const lines = aliasLines(stored);
  tell.claim(
    "both hosts resolve to the internal Service in this Pod, without DNS",
    lines.length > 0 && lines.every((line) => line.endsWith(` ${HOSTS.join(" ")}`)),
    `its aliases are ${lines.join(" and ")}`,
  );
  tell.claim(
    "its label lets it through network policies",
    stored.metadata.labels?.[LABEL] === "allowed",
  );
  const optedOut = podManifest(NAMESPACE, "opted-out", { "fairlead.dev/route": "false" });
  const created = await mustKubectl(stage, ["create", "-o", "json", "-f", "-"], optedOut);
  const untouched = JSON.parse(created) as Pod;
  tell.claim(
    'a Pod labelled fairlead.dev/route: "false" is left exactly as it was sent',
    untouched.spec.hostAliases === undefined &&
      untouched.metadata.annotations === undefined &&
      JSON.stringify(untouched.metadata.labels) === JSON.stringify(optedOut.metadata.labels),
  );
}

/**
 * Not of an admission: the version, which is read now and then, and Pepr's own store, which it sets up once, a random
 * few seconds after its start.
 */
const ASIDE = ["/version", "/apis/pepr.dev/"];

/** What the admission process asked the API server for on account of admissions. */
async function findCalls(stage: Stage, since: Date): Promise<readonly string[] | undefined> {
  const { cluster } = stage;
  if (!("auditEvents" in cluster)) return undefined;
  const events = await (cluster as EmbeddedCluster).auditEvents({
    user: "fairlead-admission",
    since,
  });
  return events
    .filter(({ requestURI }) => !ASIDE.some((path) => requestURI.startsWith(path)))
    .map(({ verb, requestURI }) => `${verb} ${requestURI}`);
}

async function measureCreations(stage: Stage): Promise<PodFigures> {
  const { tell, client } = stage;
  const since = new Date();
  const timesMs: number[] = [];
  for (let round = 0; round < CREATIONS; round += 1) {
    stage.signal.throwIfAborted();
    const startMs = performance.now();
    await client.connection.send({
      method: "POST",
      path: `/api/v1/namespaces/${NAMESPACE}/pods`,
      query: { dryRun: "All" },
      body: podManifest(NAMESPACE, `measured-${round}`),
    });
    timesMs.push(performance.now() - startMs);
  }
  const calls = await findCalls(stage, since);
  const p50 = percentile(timesMs, 0.5);
  const p99 = percentile(timesMs, 0.99);
  tell.text(
    `${CREATIONS} more Pods as dry runs: ${formatDuration(p50)} each (p99 ${formatDuration(p99)}), the API server's part included.`,
  );
  if (calls !== undefined) {
    tell.claim(
      "none of these admissions asked the API server for anything",
      calls.length === 0,
      `its audit log has ${calls.join(" and ")}`,
    );
  }
  return {
    podCreations: CREATIONS,
    podCreationP50Ms: p50,
    podCreationP99Ms: p99,
    apiCallsOfAdmissions: calls?.length,
  };
}

/**
 * Pods: denied with a sentence, routed, left alone.
 * @throws {StoryError} when the cluster does not show what the story says.
 */
export async function tellPods(stage: Stage): Promise<PodFigures> {
  stage.tell.chapter("Pods of a control plane of Gardener's");
  await tellDenial(stage);
  await tellRouted(stage);
  return measureCreations(stage);
}
