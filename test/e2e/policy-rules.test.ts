import { parseAllDocuments } from "yaml";
import { decideTrafficDistribution } from "../../capabilities/services/decide";
import { policyObjects, type PolicyVersion } from "../../capabilities/policies/resources";
import type { HostedAPIServer } from "../../lib/api";
import { effectiveMinor } from "../../lib/domain/kubernetes-version";
import {
  distributionIn,
  type ClusterTopology,
  type Service,
} from "../../lib/domain/traffic-distribution";
import { namedServices } from "../../lib/domain/webhook";
import { startCluster, type EmbeddedCluster } from "../cluster";
import { Interrogation, type Comparison } from "../harness/differential/ask";
import { admissionCases, type AdmissionCase } from "../harness/differential/cases";
import { decidedPods, decidedServices } from "../harness/differential/decided";
import { Impersonator } from "../harness/differential/impersonator";
import {
  arms,
  templateName,
  type Arm,
  type Place,
  type Question,
} from "../harness/differential/places";
import { podPlaces } from "../harness/differential/pods";
import { servicePlaces } from "../harness/differential/services";
import {
  furnish,
  host,
  parametersInArms,
  policiesInArms,
  ParameterWriter,
  webhooksInArms,
  type Placed,
  type Services,
} from "../harness/differential/stage";
import type { AnyObject, Api } from "../harness/api";
import { eventually } from "../harness/eventually";
import { startFairlead, type Fairlead } from "../harness/fairlead";
import { namespace, node, service } from "../harness/objects";
import { START_TIMEOUT_MS, toInput } from "../harness/stage";

// The same objects are sent to a namespace in which the real webhook decides and to one in which policies do; what comes
// back, or what is said, must be the same. FAIRLEAD_DIFFERENTIAL=10 sends ten times as many, FAIRLEAD_SEED others again.

jest.setTimeout(600_000);

const SEED = Number(process.env.FAIRLEAD_SEED ?? Date.now() % 1_000_000_000);
const TIMES = Number(process.env.FAIRLEAD_DIFFERENTIAL ?? 1);
/** Of the cluster that these tests run on, as fairlead sees it. */
const HERE: ClusterTopology = { minor: 36, zones: 2 };
const SHOWN = 5;

const podCases = admissionCases("pods", "Pod", 0);
const serviceCases = admissionCases("services", "Service", 100);
const amount = { seed: SEED, questions: 25 * TIMES };
const generatedPods = podPlaces({ ...amount, places: 30, firstPlace: 300 });
const generatedServices = servicePlaces({ ...amount, places: 24, firstPlace: 400 });

/** In a namespace without HostedAPIServers; what becomes of it tells what the policies know of the cluster. */
const elsewhere = templateName(500, "elsewhere");
const telltale: Question = {
  name: "the telltale",
  object: {
    ...service(elsewhere, "web", { trafficDistribution: "PreferSameNode" }),
    metadata: {
      name: "web",
      namespace: elsewhere,
      labels: { "fairlead.dev/topology-aware": "true" },
      annotations: { "fairlead.dev/traffic-distribution": "PreferSameNode" },
    },
  },
  update: false,
  requester: {},
};
/** Hosted after all others, so that the webhook knows those too when it knows this one. */
const [lastCase] = admissionCases("services", "Service", 600).filter(
  ({ name }) => name === "by-default-etcd-main-client-is-topology-aware",
);

/** What HostedAPIServers name, as the watch process tells the webhook's rules. */
const serviceNames = namedServices(
  [...serviceCases, ...generatedServices].flatMap(
    ({ hostedAPIServers }) => hostedAPIServers,
  ) as unknown as readonly HostedAPIServer[],
);

const questionsOf = (places: readonly Place[]): readonly Question[] =>
  places.flatMap(({ questions }) => questions);

function topologyOf({ world }: AdmissionCase): ClusterTopology {
  const { kubernetesVersion, zones } = world as {
    readonly kubernetesVersion?: string;
    readonly zones?: readonly string[];
  };
  const info = { major: "", minor: "", gitVersion: kubernetesVersion ?? "" };
  return {
    minor: kubernetesVersion === undefined ? undefined : effectiveMinor(info),
    zones: zones === undefined ? undefined : new Set(zones).size,
  };
}

const isHere = ({ minor = 0, zones = 0 }: ClusterTopology): boolean => minor >= 34 && zones > 1;

/** What is wished for Services that are topology-aware, in a word. */
function wishIn(topology: ClusterTopology): string {
  const wish = distributionIn(topology);
  return wish.kind === "on" ? wish.value : wish.kind;
}

async function createPolicies(cluster: EmbeddedCluster, objects: readonly object[]): Promise<void> {
  const { exitCode, stderr } = await cluster.kubectl(["create", "--validate=strict", "-f", "-"], {
    input: toInput(objects),
  });
  if (exitCode !== 0) throw new Error(stderr);
}

/** What an API server would keep is what is written, field by field. */
async function expectKept(cluster: EmbeddedCluster, apiVersion: PolicyVersion): Promise<void> {
  for (const namespaces of [undefined, ["tenant-b", "tenant-a"]]) {
    const scope = { apiVersion, ...(namespaces === undefined ? {} : { namespaces }) };
    // Those of these names are there.
    const objects = policyObjects(scope).map((object) => ({
      ...object,
      metadata: { ...object.metadata, name: `${object.metadata.name}-kept` },
    }));
    const { stdout } = await cluster.kubectl(
      ["create", "--dry-run=server", "--output=yaml", "-f", "-"],
      { input: toInput(objects) },
    );
    const kept = parseAllDocuments(stdout).map((document) => {
      const { apiVersion: of, kind, metadata, spec } = document.toJS() as AnyObject;
      const { name, labels } = metadata;
      return { apiVersion: of, kind, metadata: { name, labels }, spec };
    });

    expect(kept).toEqual(objects);
  }
}

/** Waits until each of these comes of something that is sent: an API server hears of policies one by one. */
async function untilDecided(
  interrogation: Interrogation,
  { questions, arm }: { readonly questions: readonly Question[]; readonly arm: Arm },
  outcomes: readonly (keyof Comparison["counts"])[],
): Promise<void> {
  await eventually(async () => {
    const { counts } = await interrogation.compare(questions, arm, (_, outcome) => outcome);
    const missing = outcomes.filter((each) => counts[each] === 0);
    if (missing.length > 0) throw new Error(`in the arm of ${arm} nothing is ${missing.join()}`);
  });
}

/** Waits until all four policies decide: two change objects, two others deny or warn. */
async function untilInForce(interrogation: Interrogation): Promise<void> {
  const arm = "policies";
  const pods = { questions: questionsOf(podCases), arm } as const;
  await untilDecided(interrogation, pods, ["changed", "denied", "warned"]);
  const cases = serviceCases.filter((each) => isHere(topologyOf(each)));
  const services = { questions: questionsOf(cases), arm } as const;
  await untilDecided(interrogation, services, ["changed", "warned"]);
}

function expectSame({ differences, counts }: Comparison, atLeast: Partial<Comparison["counts"]>) {
  expect(differences.slice(0, SHOWN)).toEqual([]);
  for (const [kind, least] of Object.entries(atLeast)) {
    expect({ kind, count: counts[kind as keyof typeof counts] >= least }).toEqual({
      kind,
      count: true,
    });
  }
}

describe("policies and the webhook", () => {
  let cluster: EmbeddedCluster;
  let callers: Impersonator;
  let api: Api;
  let fairlead: Fairlead | undefined;
  let interrogation: Interrogation;
  let writer: ParameterWriter;
  let placed: readonly Placed[];
  let services: Services;

  const inForce = async (topology: ClusterTopology): Promise<void> => {
    await writer.tell(parametersInArms(placed, { ...topology, services }));
    const expected = decideTrafficDistribution(telltale.object as unknown as Service, {
      ...topology,
      hostedAPIServers: [],
    });
    const value =
      expected.kind === "change" ? expected.service.spec?.trafficDistribution : "PreferSameNode";
    await eventually(async () => {
      const { object } = await interrogation.ask(telltale, "policies");
      expect(object?.spec?.trafficDistribution).toBe(value);
    });
  };

  beforeAll(async () => {
    cluster = await startCluster({ version: "1.36.3" });
    callers = new Impersonator(cluster);
    api = callers.as(undefined);
    interrogation = new Interrogation(callers);
    writer = new ParameterWriter(api);
    const last = lastCase === undefined ? [] : [lastCase];
    const elsewherePlace: Place = {
      namespaces: [elsewhere],
      shared: [],
      before: [],
      hostedAPIServers: [],
      questions: [telltale],
    };
    const declared = [...podCases, ...serviceCases, ...last, elsewherePlace];
    placed = [
      ...declared.flatMap((place) =>
        (["webhook", "policies"] as const).map((arm) => ({ arm, place })),
      ),
      ...[...generatedPods, ...generatedServices].flatMap((place) =>
        arms.map((arm) => ({ arm, place })),
      ),
    ];
    await api.createAll([node("node-1", "zone-a"), node("node-2", "zone-b")]);
    services = await furnish(api, placed);
    fairlead = await startFairlead(cluster, { processes: ["admission"] });
    await host(
      api,
      placed.filter(({ place }) => place !== lastCase),
    );
    await host(
      api,
      placed.filter(({ place }) => place === lastCase),
    );
    await createPolicies(cluster, policiesInArms("v1"));
    await api.remove({ kind: "MutatingWebhookConfiguration", name: "pepr-fairlead" });
    await createPolicies(cluster, webhooksInArms(fairlead, serviceNames));
    await inForce(HERE);
    await untilInForce(interrogation);
    await untilDecided(interrogation, { questions: questionsOf(last), arm: "webhook" }, [
      "changed",
    ]);
  }, START_TIMEOUT_MS);

  afterAll(async () => {
    callers.close();
    await fairlead?.stop();
    await cluster.stop();
  });

  it("of which the first are kept as they are written", async () => {
    await expectKept(cluster, "v1");
  });

  it("are the same for every declarative case of Pods", async () => {
    const comparison = await interrogation.compare(questionsOf(podCases), "policies", "webhook");

    expectSame(comparison, { changed: 30, denied: 20, kept: 10, warned: 3 });
  });

  it("are the same for every declarative case of Services in a cluster like this one", async () => {
    const cases = serviceCases.filter((each) => isHere(topologyOf(each)));
    const comparison = await interrogation.compare(questionsOf(cases), "policies", "webhook");

    expectSame(comparison, { changed: 30, kept: 10, warned: 3 });
  });

  it(`are the same for generated Pods and routes (seed ${SEED})`, async () => {
    const comparison = await interrogation.compare(
      questionsOf(generatedPods),
      "policies",
      "webhook",
    );

    expectSame(comparison, { changed: 100, denied: 25, kept: 100, warned: 25 });
  });

  it(`are the same for generated Services, new and updated (seed ${SEED})`, async () => {
    const comparison = await interrogation.compare(
      questionsOf(generatedServices),
      "policies",
      "webhook",
    );

    expectSame(comparison, { changed: 100, kept: 100, warned: 10 });
  });

  it("give what one of them gives where both decide", async () => {
    const some = questionsOf([...generatedPods, ...generatedServices]).filter(
      (_, index) => index % 8 === 0,
    );
    const comparison = await interrogation.compare(some, "both", "webhook");

    expectSame(comparison, { changed: 25, denied: 5 });
  });

  describe("in a cluster of another version or of other zones", () => {
    // What policies are told is the same for several clusters.
    const others = serviceCases.filter((each) => !isHere(topologyOf(each)));
    const wishes = [...new Set(others.map((each) => wishIn(topologyOf(each))))];
    const places: readonly Place[] = [...serviceCases, ...generatedServices];

    beforeAll(async () => {
      // Its version and zones are those of the real cluster.
      for (const name of ["pepr-fairlead", "pepr-fairlead-beside"]) {
        await api.remove({ kind: "MutatingWebhookConfiguration", name });
      }
    });

    it.each(wishes)("policies do what the webhook would decide (%s)", async (wish) => {
      const cases = others.filter((each) => wishIn(topologyOf(each)) === wish);
      const [first] = cases.map(topologyOf);
      if (first === undefined) throw new Error("there is no such case");
      await inForce(first);
      const some = questionsOf(generatedServices).filter((_, index) => index % 4 === 0);
      const questions = [...questionsOf(cases), ...some];
      const decided = decidedServices(places, first);
      // What warns hears of its parameters for itself, maybe later than what was asked by `inForce`.
      await eventually(async () => {
        expectSame(await interrogation.compare(questions, "policies", decided), { kept: 25 });
      });
    });
  });
});

describe("policies of version v1beta1, on Kubernetes 1.34 with its feature gate", () => {
  const places: readonly Place[] = [...podCases, ...serviceCases];
  let cluster: EmbeddedCluster;
  let callers: Impersonator;
  let services: Services;

  beforeAll(async () => {
    cluster = await startCluster({
      version: "1.34.4",
      apiServerFlags: [
        "--feature-gates=MutatingAdmissionPolicy=true",
        "--runtime-config=admissionregistration.k8s.io/v1beta1=true",
      ],
    });
    callers = new Impersonator(cluster);
    const api = callers.as(undefined);
    const placed = places.map((place) => ({ arm: "policies" as const, place }));
    services = await furnish(api, placed);
    await api.create(namespace("pepr-system"));
    await new ParameterWriter(api).tell(
      parametersInArms(placed, { minor: 34, zones: 2, services }),
    );
    await createPolicies(cluster, policiesInArms("v1beta1"));
    await untilInForce(interrogation());
  }, START_TIMEOUT_MS);

  afterAll(async () => {
    callers.close();
    await cluster.stop();
  });

  const interrogation = (): Interrogation => new Interrogation(callers);

  it("are kept as they are written", async () => {
    await expectKept(cluster, "v1beta1");
  });

  it("do what the webhook would decide of every declarative case of Pods", async () => {
    const questions = questionsOf(podCases);
    const comparison = await interrogation().compare(
      questions,
      "policies",
      decidedPods(podCases, services),
    );

    expectSame(comparison, { changed: 30, denied: 20, kept: 10, warned: 3 });
  });

  it("do what the webhook would decide of every declarative case of Services", async () => {
    const questions = questionsOf(serviceCases.filter((each) => isHere(topologyOf(each))));
    const comparison = await interrogation().compare(
      questions,
      "policies",
      decidedServices(serviceCases, { minor: 34, zones: 2 }),
    );

    expectSame(comparison, { changed: 20, kept: 10, warned: 2 });
  });
});
