import type { EmbeddedCluster } from "../../../test/cluster";
import { formatDuration, percentile, type Figures } from "../figures";
import { configMapManifest, podManifest, type Pod } from "../objects";
import { wrap } from "../render";
import { kubectl, mustKubectl, showCommand, tryKubectl, until, type Stage } from "../stage";
import { GATEWAY_NAMESPACE } from "./gateway";

type PodFigures = Pick<
  Figures,
  "podCreations" | "podCreationP50Ms" | "podCreationP99Ms" | "apiCallsOfAdmissions"
>;

const ROUTE = "istio-internal-load-balancing";
const LABEL =
  "networking.resources.gardener.cloud/to-istio-ingress-istio-ingressgateway-internal-tcp-9443";
const HOST = "tenant-a.clusters.example.com";
const CREATIONS = 50;
/** What a user sees of a denial: the sentence behind kubectl's and the webhook's own words. */
const DENIAL = /denied the request: (.*)$/s;

/** The part of a Pod that the story shows, without what the API server adds by itself. */
function shown({ metadata, spec }: Pod): object {
  const { name, labels = {} } = metadata;
  const hostAliases = spec.hostAliases?.map(({ ip, hostnames }) => ({ ip, hostnames }));
  const [volume] = spec.volumes ?? [];
  return {
    metadata: { name, labels },
    spec: {
      ...(hostAliases === undefined ? {} : { hostAliases }),
      volumes: [{ name: volume?.name, projected: { sources: volume?.projected?.sources } }],
    },
  };
}

/** The host aliases as lines of a hosts file. */
const aliasesOf = ({ spec }: Pod): readonly string[] =>
  (spec.hostAliases ?? []).map(({ ip, hostnames }) => `${ip} ${hostnames.join(" ")}`);

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
    `ConfigMap ${ROUTE} says where a namespace's Pods go. It is written by hand here, as Gardener`,
    "does it; fairlead writes it itself once the gateway serves the host (next release).",
    "First one without hosts, by mistake:",
  );
  const pod = podManifest("tenant-a", "kube-scheduler", {});
  await mustKubectl(
    stage,
    ["apply", "-f", "-"],
    configMapManifest("tenant-a", ROUTE, { hosts: "", "istio-namespace": GATEWAY_NAMESPACE }),
  );
  await untilAdmission(stage, pod, "denies");
  const args = ["create", "-f", "-"];
  showCommand(stage, args, pod);
  const { succeeded, stderr } = await tryKubectl(stage, args, pod);
  const sentence = DENIAL.exec(stderr)?.[1] ?? stderr;
  for (const line of wrap(stderr, 100)) tell.text(tell.style.removed(line));
  tell.claim(
    "the Pod is denied, and the sentence says what to fix: it would have run without its route",
    !succeeded && sentence.includes(`tenant-a/${ROUTE}`) && sentence.includes("hosts"),
    succeeded ? "it was created" : "it does not name the ConfigMap and its key",
  );
}

async function tellRouted(stage: Stage, addresses: readonly string[]): Promise<void> {
  const { tell } = stage;
  tell.text("Then with the host, and the addresses that the InternalGateway's status names:");
  const pod = podManifest("tenant-a", "kube-scheduler", {});
  const route = {
    hosts: HOST,
    "istio-namespace": GATEWAY_NAMESPACE,
    addresses: addresses.join(","),
  };
  await mustKubectl(stage, ["apply", "-f", "-"], configMapManifest("tenant-a", ROUTE, route));
  await untilAdmission(stage, pod, "allows");
  const stored = JSON.parse(await kubectl(stage, ["create", "-o", "json", "-f", "-"], pod)) as Pod;
  tell.change(
    "Pod tenant-a/kube-scheduler, as it was sent and as it is stored:",
    shown(pod),
    shown(stored),
  );
  const expected = addresses.map((ip) => `${ip} ${HOST}`);
  tell.claim(
    `${HOST} resolves to the internal Service in this Pod, without DNS`,
    expected.length > 0 && aliasesOf(stored).join() === expected.join(),
    `its aliases are ${aliasesOf(stored).join(" and ")}`,
  );
  tell.claim(
    "its label lets it through network policies",
    stored.metadata.labels?.[LABEL] === "allowed",
  );
  const optedOut = podManifest("tenant-a", "opted-out", { "fairlead.dev/route": "false" });
  const created = await mustKubectl(stage, ["create", "-o", "json", "-f", "-"], optedOut);
  const untouched = JSON.parse(created) as Pod;
  tell.claim(
    'a Pod labelled fairlead.dev/route: "false" is left exactly as it was sent',
    untouched.spec.hostAliases === undefined &&
      untouched.metadata.annotations === undefined &&
      JSON.stringify(untouched.metadata.labels) === JSON.stringify(optedOut.metadata.labels),
  );
}

async function tellGardener(stage: Stage): Promise<void> {
  const { tell } = stage;
  tell.text("A control plane of Gardener's needs no kind of fairlead's:");
  await kubectl(stage, ["apply", "-f", "examples/gardener-namespace.yaml"]);
  const pod = podManifest("shoot--demo--one", "kube-controller-manager", {});
  const routed = await until(stage, "a Pod of Gardener's namespace is routed", async () => {
    const args = ["create", "--dry-run=server", "-o", "json", "-f", "-"];
    const { succeeded, stdout } = await tryKubectl(stage, args, pod);
    const answer = succeeded ? (JSON.parse(stdout) as Pod) : undefined;
    return answer?.spec.hostAliases === undefined ? undefined : answer;
  });
  for (const alias of aliasesOf(routed)) tell.text(tell.style.added(`+ ${alias}`));
  const hosts = "api.one.demo.example.com api.one.demo.internal.example.com";
  tell.claim(
    "its Pods get both hosts, for every cluster IP of the gateway's Service",
    aliasesOf(routed).length > 0 && aliasesOf(routed).every((alias) => alias.endsWith(` ${hosts}`)),
    `its host aliases are ${aliasesOf(routed).join(" and ")}`,
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
      path: "/api/v1/namespaces/tenant-a/pods",
      query: { dryRun: "All" },
      body: podManifest("tenant-a", `measured-${round}`, {}),
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
export async function tellPods(
  stage: Stage,
  { addresses }: { readonly addresses: readonly string[] },
): Promise<PodFigures> {
  stage.tell.chapter("Pods find the gateway");
  await tellDenial(stage);
  await tellRouted(stage, addresses);
  await tellGardener(stage);
  return measureCreations(stage);
}
