import fc from "fast-check";
import { nameOf } from "../../capabilities/policies/compare";
import { marked } from "../../capabilities/policies/execute";
import {
  NOTHING_REMEMBERED,
  type AnyPolicy,
  type Memory,
  type Observed,
} from "../../capabilities/policies/observed";
import { planPolicies, type Planned, type PolicyStep } from "../../capabilities/policies/plan";
import { isManaged } from "../../lib/domain/names";
import type { AdmissionSetting } from "../../lib/domain/settings";

// A cluster whose API servers hear of every write some time later, each in its own time and of each kind of objects in
// another, and watchers that come, go and want different things: an object that concerns fairlead is admitted by one of both at every API server at every moment.

const PROPAGATION_MS = 10_000;
/** Less than what is waited for. */
const MAX_LAG_MS = 9_000;
const TICK_MS = 500;

interface State {
  readonly policies: ReadonlyMap<string, AnyPolicy>;
  readonly hasParameters: boolean;
  readonly mark: string | undefined;
  readonly isWide: boolean;
}

interface Watcher {
  readonly setting: AdmissionSetting;
  memory: Memory;
  mark: string | undefined;
}

const owner = { apiVersion: "v1", kind: "Owner", name: "owner", uid: "owner" };
const object = (kind: string, spec: object): AnyPolicy =>
  marked({ apiVersion: "v1", kind, metadata: { name: "any" }, spec: { ...spec } }, owner);
const desired = [
  object("MutatingAdmissionPolicy", { does: "route" }),
  object("ValidatingAdmissionPolicy", { does: "deny" }),
  object("MutatingAdmissionPolicyBinding", { of: "any" }),
  object("ValidatingAdmissionPolicyBinding", { of: "any" }),
];

/** How much later than a write an API server hears of it, by what was written. */
interface Lags {
  readonly policiesMs: number;
  readonly bindingsMs: number;
  readonly configMapsMs: number;
  readonly webhookMs: number;
}

const isBinding = ({ kind }: AnyPolicy): boolean => kind.endsWith("Binding");

class Simulation {
  nowMs = 1_000_000_000;
  #uid = 0;
  #state: State = { policies: new Map(), hasParameters: false, mark: undefined, isWide: true };
  readonly #history: { readonly atMs: number; readonly state: State }[] = [];

  constructor(readonly servers: readonly Lags[]) {
    this.#write({});
  }

  get state(): State {
    return this.#state;
  }

  #write(change: Partial<State>): void {
    this.#state = { ...this.#state, ...change };
    this.#history.push({ atMs: this.nowMs, state: this.#state });
  }

  /** What was true so long ago. */
  #before(lagMs: number): State {
    const known = this.#history.filter(({ atMs }) => atMs <= this.nowMs - lagMs);
    return (known.at(-1) ?? this.#history[0])?.state ?? this.#state;
  }

  #knowsPolicies({ policiesMs, bindingsMs }: Lags): boolean {
    return desired.every((each) =>
      this.#before(isBinding(each) ? bindingsMs : policiesMs).policies.has(nameOf(each)),
    );
  }

  /** API servers at which nobody admits. */
  gaps(): readonly Lags[] {
    return this.servers.filter((lags) => {
      const isByWebhook = this.#before(lags.webhookMs).isWide;
      const { hasParameters } = this.#before(lags.configMapsMs);
      return !isByWebhook && !(hasParameters && this.#knowsPolicies(lags));
    });
  }

  #look(mark: string): Observed["sight"] {
    const isKnown = this.servers.every(
      (lags) => this.#before(lags.configMapsMs).mark === mark && this.#knowsPolicies(lags),
    );
    return isKnown ? "inForce" : "notInForce";
  }

  #observe({ setting, mark }: Watcher, sight: Observed["sight"]): Observed {
    const { policies, hasParameters, isWide } = this.#state;
    const live = [...policies.values()];
    const wanted = JSON.stringify([live.map(({ metadata }) => metadata.uid), hasParameters]);
    return {
      nowMs: this.nowMs,
      setting,
      served: "v1",
      webhook: { kind: isWide ? "wide" : "narrow" },
      desired,
      live,
      params: {
        outOfLine: hasParameters ? 0 : 1,
        own: hasParameters ? 1 : 0,
        foreign: [],
        foreignShared: undefined,
      },
      mark: { wanted, is: mark },
      sight,
      propagationMs: PROPAGATION_MS,
    };
  }

  #take(watcher: Watcher, step: PolicyStep, { mark }: Observed): Observed["sight"] {
    if (step.step === "look") return this.#look(mark.wanted);
    if (step.step === "params") this.#write({ hasParameters: step.wanted });
    if (step.step === "mark") {
      watcher.mark = mark.wanted;
      this.#write({ mark: mark.wanted });
    }
    if (step.step === "write") {
      for (const write of step.writes) {
        const policies = new Map(this.#state.policies);
        if (write.action === "delete") policies.delete(nameOf(write.seen));
        else {
          this.#uid += 1;
          const metadata = { ...write.object.metadata, uid: String(this.#uid) };
          policies.set(nameOf(write.object), { ...write.object, metadata });
        }
        this.#write({ policies });
      }
    }
    return "unseen";
  }

  /** One look of a watcher, as its controller takes it. */
  run(watcher: Watcher): Planned {
    let sight: Observed["sight"] = "unseen";
    for (;;) {
      const observed = this.#observe(watcher, sight);
      const planned = planPolicies(observed, watcher.memory);
      watcher.memory = planned.memory;
      const isWide = planned.admission.by === "webhook";
      if (isWide !== this.#state.isWide) this.#write({ isWide });
      if (planned.plan.step === "rest") return planned;
      sight = this.#take(watcher, planned.plan, observed);
      if (planned.plan.step === "write") return planned;
    }
  }

  tick(): void {
    this.nowMs += TICK_MS;
  }
}

const start = (setting: AdmissionSetting): Watcher => ({
  setting,
  memory: NOTHING_REMEMBERED,
  mark: undefined,
});

const settings = fc.constantFrom<AdmissionSetting>("Auto", "Policy", "Webhook");
const lag = fc.integer({ min: 0, max: MAX_LAG_MS });
const servers = fc.array(
  fc.record({ policiesMs: lag, bindingsMs: lag, configMapsMs: lag, webhookMs: lag }),
  { minLength: 1, maxLength: 3 },
);
/** For so many ticks these watchers run, and one of those before if it is kept. */
const phases = fc.array(
  fc.record({
    watchers: fc.array(settings, { minLength: 0, maxLength: 2 }),
    ticks: fc.integer({ min: 1, max: 80 }),
    isKept: fc.boolean(),
  }),
  { minLength: 1, maxLength: 8 },
);

describe("admission by policies", () => {
  it("leaves no API server without one that admits, whoever watches, and whoever dies", () => {
    fc.assert(
      fc.property(servers, phases, (lags, all) => {
        const simulation = new Simulation(lags);
        let watchers: readonly Watcher[] = [];
        for (const { watchers: wanted, ticks, isKept } of all) {
          const kept = isKept ? watchers.slice(0, 1) : [];
          watchers = [...kept, ...wanted.map(start)].slice(0, 2);
          for (let tick = 0; tick < ticks; tick += 1) {
            for (const watcher of watchers) {
              simulation.run(watcher);
              expect(simulation.gaps()).toEqual([]);
            }
            simulation.tick();
            expect(simulation.gaps()).toEqual([]);
          }
        }
      }),
      { numRuns: 150 },
    );
  });

  it("comes to where the setting wants it, and rests there without a write", () => {
    fc.assert(
      fc.property(servers, settings, settings, (lags, before, after) => {
        const simulation = new Simulation(lags);
        for (const setting of [before, after]) {
          const watcher = start(setting);
          for (let tick = 0; tick < 120; tick += 1) {
            simulation.run(watcher);
            simulation.tick();
          }
          const { policies, hasParameters, isWide } = simulation.state;
          const isAdmitting = setting !== "Webhook";
          expect(isWide).toBe(!isAdmitting);
          expect(hasParameters).toBe(isAdmitting);
          expect([...policies.values()].filter(isManaged)).toHaveLength(
            isAdmitting ? desired.length : 0,
          );
          const resting = simulation.state;
          expect(simulation.run(watcher).plan.step).toBe("rest");
          expect(simulation.state).toBe(resting);
        }
      }),
      { numRuns: 50 },
    );
  });
});
