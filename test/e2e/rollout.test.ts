import { readFileSync } from "node:fs";
import type { ProcessPod } from "../cluster/pods/process-pod";
import { startApiProxy, type ApiProxy } from "../harness/api-proxy";
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
import { configMap, namespace } from "../harness/objects";
import { START_TIMEOUT_MS } from "../harness/stage";
import { describeProcessNode } from "./data-plane-choice";
import { LARGE_CASES_VERSION } from "./versions";

// dist/fairlead.yaml, admitted by a real API server with restricted Pod Security, whose Pods run as processes with their
// mounts, probes, hooks and grace periods; the API server calls the webhook by its Service.

// Two rollouts, and a watch that is dead for as long as the probe takes, add up to minutes where a machine is busy.
jest.setTimeout(600_000);

const built = builtInstallation();
/** At least as many Pods are created while Pods of fairlead are replaced. */
const LEAST_ADMISSIONS = 2_000;

function statusOf(programId: number | undefined): string {
  return readFileSync(`/proc/${programId ?? 0}/status`, "utf8");
}

describeProcessNode("fairlead's Pods", () => {
  let stage: NodeStage;
  let load: AdmissionLoad | undefined;
  let proxy: ApiProxy;

  /** A routed Pod as it was admitted. */
  const admit = async (name: string): Promise<unknown> => {
    const { body } = await stage.api.tryToCreate(unscheduledPod(name));
    return body.spec?.hostAliases;
  };

  const patience = { timeoutMs: 240_000, pollMs: 500 };
  const rollOut = async (...names: readonly string[]): Promise<void> => {
    const deployments = names.map((name) => `deployment/${name}`);
    await stage.kubectl(["rollout", "restart", `--namespace=${SYSTEM}`, ...deployments]);
    await stage.untilRolledOut();
  };
  const watcher = (): ProcessPod => {
    const [pod] = stage.podsOf("watcher");
    if (pod === undefined) throw new Error("there is no watch process");
    return pod;
  };

  beforeAll(async () => {
    stage = await setNodeStage(LARGE_CASES_VERSION);
    proxy = await startApiProxy(stage.cluster);
    await stage.node.leadToApiServer(proxy.port);
    // A user's settings, which the manifest leaves alone: what takes minutes by default is seen sooner.
    const settings = { FAIRLEAD_WATCH_GRACE_SECONDS: "0", FAIRLEAD_VERSION_INTERVAL_SECONDS: "5" };
    await stage.api.createAll([
      namespace("istio-ingress"),
      namespace(SYSTEM),
      configMap(SYSTEM, "fairlead-settings", settings),
    ]);
    await stage.kubectl(["apply", "--validate=strict", "-f", built.manifest]);
  }, START_TIMEOUT_MS);
  afterEach(async () => {
    await load?.stop();
  });
  afterAll(async () => {
    await stage.stop();
    await proxy.close();
  });

  it("become ready in both zones, and a routed Pod comes out right", async () => {
    await stage.untilRolledOut();

    // An API server hears of endpoints for itself: it may refuse until then, but never lets a Pod through as it is.
    const aliases = await eventually(async () => admit("first"), patience);
    expect(aliases).toEqual(await routedAliases(stage.api));
    const pods = await stage.api.list("Pod", SYSTEM, "pepr.dev/controller=admission");
    const nodes = pods.map(({ spec }) => spec?.nodeName);
    expect(nodes.sort()).toEqual(["node-zone-a", "node-zone-b"]);
  });

  it("run as the image's user, as process 1, on a root that nothing can be written to", () => {
    const pods = stage.node.kubelet.pods();
    expect(pods).toHaveLength(3);
    for (const { programId = 0 } of pods) {
      const status = statusOf(programId);
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

  it("lose no admission in rolling restarts under load, while the kubelet starts a watch process anew whose watch is dead", async () => {
    const old = stage.node.kubelet.pods().map(({ name }) => name);
    load = await startAdmissionLoad(stage.api);
    proxy.hold(/^\/apis\/fairlead.dev\/v1alpha1\/internalgateways\b/);
    await rollOut("pepr-fairlead");
    await eventually(() => {
      expect(watcher().restarts).toBe(1);
    }, patience);
    expect(watcher().log()).toContain('"watches":["InternalGateway"]');
    proxy.release();
    await eventually(() => {
      expect(watcher().isReady).toBe(true);
    }, patience);
    await rollOut("pepr-fairlead", "pepr-fairlead-watcher");
    await eventually(() => {
      expect(load?.tried()).toBeGreaterThan(LEAST_ADMISSIONS);
      expect(stage.node.kubelet.pods()).toHaveLength(3);
    }, patience);
    const { tried, ...outcome } = await load.stop();

    const peaks = stage.node.kubelet.pods().map(({ containerName, programId }) => {
      const [, kibibytes] = /^VmHWM:\s+(\d+) kB$/m.exec(statusOf(programId)) ?? [];
      return `${containerName} ${(Number(kibibytes) / 1024).toFixed(0)} MiB`;
    });
    process.stderr.write(
      `rolling restarts under load: ${tried} admissions tried; peaks of memory: ${peaks.join(", ")}\n`,
    );
    expect(outcome).toEqual({ routed: tried, missed: 0, refused: [], unanswered: [] });
    const now = stage.node.kubelet.pods().map(({ name, restarts }) => ({ name, restarts }));
    expect(now.filter(({ name, restarts }) => old.includes(name) || restarts > 0)).toEqual([]);
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
    // The kubelet kills what is deleted a moment later.
    await eventually(async () => expect(admit("third")).rejects.toThrow("failed calling webhook"), {
      pollMs: 20,
    });

    // Before that, a Deployment's status may still be that of the Pods that are gone.
    const aliases = await eventually(async () => admit("fourth"), patience);
    expect(aliases).toEqual(await routedAliases(stage.api));
    await stage.untilRolledOut();
  });
});
