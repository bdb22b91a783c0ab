import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { settled } from "../../test/harness/eventually";
import { registerWebhook, startFairlead, type Fairlead } from "../../test/harness/fairlead";
import { encode } from "../../test/harness/objects";
import type { ProcessMode } from "../../test/harness/requests";
import { keepLogs } from "../../test/harness/stage";
import type { Step } from "../../test/cluster";
import { usageOf, type ProcessUsage } from "../../test/cluster/processes";
import { exactCpuMsOf } from "../framework/process-usage";
import { Convergence, isReached, type Milestone } from "./convergence";
import { CopyWatch } from "./copies";
import { hostOf, issueServed, secondHostOf, type Landscape } from "./landscape";
import { programsSince, readPrograms, type Program } from "./programs";
import { isVersionRead, RequestLog, type LoggedRequest } from "./request-log";
import type { ScaleStage } from "./stage";

const MODES: readonly ProcessMode[] = ["admission", "watch"];
const CONVERGE_TIMEOUT_MS = 600_000;
/** Until what a change leads to in the end has been asked for. */
const REACTION_MS = 2_000;
const CHANGE_TIMEOUT_MS = 30_000;
const QUIET_MS = 4_000;

type PerProcess<T> = Readonly<Record<ProcessMode, T>>;

/** What one change of one HostedAPIServer costs, both processes together, on average. */
export interface ChangeCost {
  readonly requests: number;
  /** Less what they use in the same time when nothing changes. */
  readonly cpuMs: number;
}

/** What was measured with so many control planes. */
export interface SizeResult {
  readonly size: number;
  /** Of each control plane. */
  readonly pods: number;
  /** From the start of both processes until the last was there, in seconds. */
  readonly reachedSeconds: Readonly<Record<Milestone, number>>;
  /** CPU time until then, in milliseconds, by program. */
  readonly reachedCpuMs: Readonly<Record<Program, number>>;
  /** Of each control plane, in seconds. */
  readonly readySeconds: readonly number[];
  readonly coldRequests: readonly LoggedRequest[];
  /** CPU time until all was quiet, in milliseconds. */
  readonly coldCpuMs: PerProcess<number>;
  /** At the end of the run, with the highest of the whole run. */
  readonly memory: PerProcess<Pick<ProcessUsage, "residentBytes" | "peakBytes">>;
  readonly changes: Readonly<Record<"certificate" | "spec", ChangeCost>>;
  /** Requests a minute while nothing happens, reads of the version left out. */
  readonly idlePerMinute: PerProcess<number>;
}

/** How much is measured. */
export interface RunOptions {
  readonly changes: number;
  readonly idleSeconds: number;
}

/** Measures one size after another on one stage, each with new processes in a landscape without derived objects. */
export class SizeRun {
  readonly #log: RequestLog;

  constructor(
    private readonly stage: ScaleStage,
    private readonly landscape: Landscape,
    private readonly options: RunOptions,
  ) {
    this.#log = new RequestLog(stage.cluster.files.auditLog);
  }

  /**
   * Measures with so many control planes, which are to be no fewer than before.
   * @param how `clears`: what fairlead made goes at the end, for another run.
   * @throws Error when they do not come to be Ready.
   */
  async measure(
    size: number,
    how: { readonly step: Step; readonly clears: boolean },
  ): Promise<SizeResult> {
    const { step, clears } = how;
    const { landscape, stage } = this;
    await landscape.growTo(size, (share) => {
      step.update({ fraction: share / 4, detail: "sources" });
    });
    const convergence = await Convergence.begin(stage.api);
    const fairlead = await startFairlead(stage.cluster, {
      name: `fairlead-${size}`,
      processes: [],
      env: environmentOf(process.env),
      dataPlane: stage.plane,
    });
    try {
      const cold = await this.#start(fairlead, convergence, { size, step });
      const changes = await this.#changes(fairlead, convergence);
      step.update({ fraction: 0.9, detail: "idle" });
      const idlePerMinute = await this.#idle();
      const memory = perProcess((mode) => usageOf(fairlead[mode].pid));
      if (clears) {
        step.update({ fraction: 1, detail: "cleared" });
        await landscape.clear();
      }
      return { size, pods: landscape.controlPlane.pods, ...cold, changes, idlePerMinute, memory };
    } finally {
      convergence.stop();
      await this.#end(fairlead);
    }
  }

  async #start(
    fairlead: Fairlead,
    convergence: Convergence,
    { size, step }: { readonly size: number; readonly step: Step },
  ) {
    const since = Date.now();
    const startedMs = performance.now();
    const before = readPrograms();
    await Promise.all([
      fairlead.watch.start(),
      fairlead.admission.start().then(async () => registerWebhook(this.stage.cluster, fairlead)),
    ]);
    const reached = await convergence.untilAllReady(size, {
      timeoutMs: CONVERGE_TIMEOUT_MS,
      onProgress: (share) => {
        step.update({ fraction: 0.25 + share / 2, detail: "cold start" });
      },
    });
    const allReadyMs = performance.now();
    const ownMs = perProcess((mode) => exactCpuMsOf(fairlead[mode].pid));
    const reachedCpuMs = programsSince(before, readPrograms(), ownMs);
    await this.#untilQuiet();
    const seconds = (ms: number): number => (ms - startedMs) / 1000;
    return {
      reachedSeconds: {
        CredentialsSynced: seconds(Math.max(...reached.CredentialsSynced)),
        Ready: seconds(allReadyMs),
      },
      reachedCpuMs,
      readySeconds: reached.Ready.map(seconds),
      coldRequests: await this.#requests(since),
      coldCpuMs: perProcess((mode) => exactCpuMsOf(fairlead[mode].pid)),
    };
  }

  async #changes(fairlead: Fairlead, convergence: Convergence): Promise<SizeResult["changes"]> {
    const restCpuMsPerMs = await this.#restingCpu(fairlead);
    const costOf = async (change: (tenant: string) => Promise<void>): Promise<ChangeCost> =>
      this.#costOf(fairlead, restCpuMsPerMs, change);
    const copies = await CopyWatch.begin(this.stage.api);
    try {
      const certificate = await costOf(async (tenant) => this.#renew(tenant, copies));
      const spec = await costOf(async (tenant) => this.#addHost(tenant, convergence));
      return { certificate, spec };
    } finally {
      copies.stop();
    }
  }

  /** What both processes use while nothing changes, in milliseconds a millisecond. */
  async #restingCpu(fairlead: Fairlead): Promise<number> {
    const before = cpuOf(fairlead);
    const startedMs = performance.now();
    await sleep(2 * REACTION_MS);
    return (cpuOf(fairlead) - before) / (performance.now() - startedMs);
  }

  async #costOf(
    fairlead: Fairlead,
    restCpuMsPerMs: number,
    change: (tenant: string) => Promise<void>,
  ): Promise<ChangeCost> {
    const { tenants } = this.landscape;
    // Once for each at most: the second time a host is there already.
    const changes = Math.min(this.options.changes, tenants.length);
    const since = Date.now();
    const startedMs = performance.now();
    const before = cpuOf(fairlead);
    for (let index = 0; index < changes; index += 1) {
      // Spread over all, so that no place in the landscape is special.
      const at = Math.floor((index * tenants.length) / changes);
      await change(tenants[at] ?? "");
    }
    await sleep(REACTION_MS);
    const restMs = (performance.now() - startedMs) * restCpuMsPerMs;
    const requests = (await this.#requests(since)).filter((request) => !isVersionRead(request));
    return {
      requests: requests.length / changes,
      cpuMs: (cpuOf(fairlead) - before - restMs) / changes,
    };
  }

  /** A new certificate of the same hosts: done when the copy is there. */
  async #renew(tenant: string, copies: CopyWatch): Promise<void> {
    const { api, publicCA } = this.stage;
    const { certificatePem, privateKeyPem } = await issueServed(publicCA, tenant);
    const data = encode({ "tls.crt": certificatePem, "tls.key": privateKeyPem });
    await api.patch({ kind: "Secret", namespace: tenant, name: "kube-apiserver" }, { data });
    await copies.until(data["tls.crt"] ?? "", CHANGE_TIMEOUT_MS);
  }

  /** A host more: done when it is Ready again, which it is when the gateway was seen to serve it. */
  async #addHost(tenant: string, convergence: Convergence): Promise<void> {
    const ref = { kind: "HostedAPIServer", namespace: tenant, name: "main" } as const;
    const hosts = [hostOf(tenant), secondHostOf(tenant)];
    const { body } = await this.stage.api.patch(ref, { spec: { hosts } });
    const generation = body.metadata.generation ?? 0;
    await convergence.until(() => {
      const now = convergence.of(tenant);
      const isSeen = (now?.metadata.generation ?? 0) >= generation;
      return now !== undefined && isSeen && isReached(now, "Ready");
    }, CHANGE_TIMEOUT_MS);
  }

  async #idle(): Promise<PerProcess<number>> {
    await this.#untilQuiet();
    const since = Date.now();
    await sleep(this.options.idleSeconds * 1000);
    const requests = (await this.#requests(since)).filter((request) => !isVersionRead(request));
    const minutes = this.options.idleSeconds / 60;
    return perProcess((mode) => requests.filter((one) => one.mode === mode).length / minutes);
  }

  async #untilQuiet(): Promise<void> {
    await settled(
      async () => (await this.#log.read()).filter((request) => !isVersionRead(request)).length,
      { quietMs: QUIET_MS, timeoutMs: 120_000 },
    );
  }

  async #requests(since: number): Promise<readonly LoggedRequest[]> {
    return (await this.#log.read()).filter(({ atMs }) => atMs >= since);
  }

  async #end(fairlead: Fairlead): Promise<void> {
    await fairlead.stop();
    keepLogs(this.stage.cluster, fairlead);
    // Nothing could be created while nobody answers.
    const { api } = this.stage;
    for (const { metadata } of await api.list("MutatingWebhookConfiguration")) {
      await api.remove({ kind: "MutatingWebhookConfiguration", name: metadata.name ?? "" });
    }
  }
}

/** `FAIRLEAD_BENCH_NODE_OPTIONS`: of both processes, to look into them. */
function environmentOf(environment: NodeJS.ProcessEnv): Record<string, string> {
  const { FAIRLEAD_BENCH_NODE_OPTIONS: options } = environment;
  return options === undefined ? {} : { NODE_OPTIONS: options };
}

const cpuOf = (fairlead: Fairlead): number =>
  MODES.map((mode) => exactCpuMsOf(fairlead[mode].pid)).reduce((sum, ms) => sum + ms, 0);

function perProcess<T>(of: (mode: ProcessMode) => T): PerProcess<T> {
  return { admission: of("admission"), watch: of("watch") };
}
