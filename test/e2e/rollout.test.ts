import { readFileSync } from "node:fs";
import { startAdmissionLoad, type AdmissionLoad } from "../harness/admission-load";
import { eventually } from "../harness/eventually";
import { builtInstallation } from "../harness/installation";
import {
  routedAliases,
  setNodeStage,
  SYSTEM,
  unscheduledPod,
  type NodeStage,
} from "../harness/node-stage";
import { namespace } from "../harness/objects";
import { START_TIMEOUT_MS } from "../harness/stage";
import { describeProcessNode } from "./data-plane-choice";
import { LARGE_CASES_VERSION } from "./versions";

// dist/fairlead.yaml, admitted by a real API server with restricted Pod Security, whose Pods run as processes with their
// mounts, probes, hooks and grace periods; the API server calls the webhook by its Service.

jest.setTimeout(300_000);

const built = builtInstallation();
/** At least as many Pods are created while Pods of fairlead are replaced. */
const LEAST_ADMISSIONS = 2_000;
const patience = { timeoutMs: 180_000, pollMs: 500 };

describeProcessNode("fairlead's Pods", () => {
  let stage: NodeStage;
  let load: AdmissionLoad | undefined;

  /** A routed Pod as it was admitted. */
  const admit = async (name: string): Promise<unknown> => {
    const { body } = await stage.api.tryToCreate(unscheduledPod(name));
    return body.spec?.hostAliases;
  };

  beforeAll(async () => {
    stage = await setNodeStage(LARGE_CASES_VERSION);
    await stage.api.create(namespace("istio-ingress"));
    await stage.kubectl(["apply", "--validate=strict", "-f", built.manifest]);
  }, START_TIMEOUT_MS);
  afterEach(async () => {
    await load?.stop();
  });
  afterAll(async () => {
    await stage.stop();
  });

  it("become ready in both zones, and a routed Pod comes out right", async () => {
    await stage.untilRolledOut();

    expect(await admit("first")).toEqual(await routedAliases(stage.api));
    const pods = await stage.api.list("Pod", SYSTEM, "pepr.dev/controller=admission");
    const nodes = pods.map(({ spec }) => spec?.nodeName);
    expect(nodes.sort()).toEqual(["node-zone-a", "node-zone-b"]);
  });

  it("run as the image's user, as process 1, on a root that nothing can be written to", () => {
    const pods = stage.node.kubelet.pods();
    expect(pods).toHaveLength(3);
    for (const { programId = 0 } of pods) {
      const status = readFileSync(`/proc/${programId}/status`, "utf8");
      expect(status).toMatch(/^Uid:\t65532\t65532\t65532\t65532$/m);
      expect(status).toMatch(/^NSpid:\t\d+\t1$/m);
      expect(status).toMatch(/^CapEff:\t0+$/m);
      const mounts = readFileSync(`/proc/${programId}/mountinfo`, "utf8").trimEnd().split("\n");
      const writable = mounts
        .map((line) => line.split(" "))
        .filter(([, , , , , options = ""]) => options.split(",").includes("rw"))
        .map(([, , , , target = ""]) => target)
        .filter((target) => !/^\/(dev|proc)(\/|$)/.test(target));
      expect(writable).toEqual([]);
    }
  });

  it("lose no admission in rolling restarts under load", async () => {
    const restart = ["rollout", "restart", `--namespace=${SYSTEM}`];
    const before = stage.node.kubelet.pods().map(({ name }) => name);
    load = await startAdmissionLoad(stage.api);
    await stage.kubectl([...restart, "deployment/pepr-fairlead"]);
    await stage.untilRolledOut();
    await stage.kubectl([...restart, "deployment/pepr-fairlead", "deployment/pepr-fairlead-watcher"]);
    await stage.untilRolledOut();
    await eventually(() => {
      expect(load?.tried()).toBeGreaterThan(LEAST_ADMISSIONS);
      expect(stage.node.kubelet.pods()).toHaveLength(3);
    }, patience);
    const tally = await load.stop();

    process.stdout.write(`rolling restarts: ${tally.tried} admissions, ${JSON.stringify(tally)}\n`);
    expect(tally).toEqual({
      tried: tally.tried,
      routed: tally.tried,
      missed: 0,
      refused: [],
      unanswered: [],
    });
    const after = stage.node.kubelet.pods().map(({ name, restarts }) => [name, restarts] as const);
    expect(after.filter(([name, restarts]) => before.includes(name) || restarts > 0)).toEqual([]);
  });

  it("come back when they and the API server were down at once", async () => {
    await stage.cluster.apiServer.stop("SIGKILL");
    for (const pod of stage.node.kubelet.pods()) pod.kill("SIGKILL");
    await eventually(() => {
      const restarts = stage.node.kubelet.pods().map((pod) => pod.restarts);
      expect(restarts.every((count) => count > 0)).toBe(true);
    });
    await stage.cluster.apiServer.start();

    await eventually(async () => {
      expect(await admit("second")).toEqual(await routedAliases(stage.api));
      expect(stage.node.kubelet.pods().map(({ isReady }) => isReady)).toEqual([true, true, true]);
    }, patience);
  });

  it("come back when not one of them is left, though their webhook fails closed", async () => {
    await stage.kubectl(["delete", "pods", "--all", "--force", `--namespace=${SYSTEM}`]);
    await expect(admit("third")).rejects.toThrow("failed calling webhook");

    await stage.untilRolledOut();
    expect(await admit("fourth")).toEqual(await routedAliases(stage.api));
  });
});
