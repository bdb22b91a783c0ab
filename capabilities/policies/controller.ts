import type { KubernetesObject, OwnerReference } from "../../lib/api";
import {
  createQueue,
  describeRefusal,
  isAlreadyExists,
  isConflict,
  isForbidden,
  isInvalid,
  isNotFound,
  tellChange,
  type AdmissionMode,
  type Cache,
  type CacheContext,
  type Change,
  type EventRecorder,
  type Outcome,
  type Queue,
} from "../../lib/cluster";
import { keyOf } from "../../lib/domain/keys";
import type { ConfigMap } from "../../lib/domain/route-config";
import { RouteIndex } from "../../lib/domain/route-index";
import type { Admission } from "../../lib/domain/admission";
import { isManaged } from "../../lib/domain/names";
import type { AdmissionSetting } from "../../lib/domain/settings";
import {
  SYSTEM_NAMESPACE,
  WEBHOOK_CONFIGURATION,
  WEBHOOK_NAME,
  namedServices,
} from "../../lib/domain/webhook";
import { hasNamespace, widthOf, type WebhookFields } from "../../lib/domain/webhook-state";
import { digest, isLasting, nameOf } from "./compare";
import { ApiServers, type ServerAddress, type Width } from "./discovery";
import { execute, marked, readMark, writeMark } from "./execute";
import { inForceObjects } from "./in-force";
import {
  NOTHING_REMEMBERED,
  type AnyPolicy,
  type Block,
  type Memory,
  type Observed,
  type Sight,
  type WebhookState,
} from "./observed";
import { ParameterMaps, type ParameterInputs } from "./parameter-maps";
import { OWN_PARAMETERS_PREFIX } from "./params";
import { planPolicies, type Planned, type PolicyStep } from "./plan";
import { PolicyCaches } from "./policy-caches";
import { policyObjects, type PolicyVersion } from "./resources";
import { missingRight } from "./rights";
import { AdmissionTeller } from "./teller";

/** fairlead's MutatingWebhookConfiguration. */
export interface WebhookConfiguration extends KubernetesObject {
  readonly webhooks?: readonly (WebhookFields & { readonly name: string })[];
}

/** A source of facts that changes. */
interface Changing {
  onChange(listener: () => void): void;
}

/** What the controller works with. */
export interface PoliciesContext extends CacheContext {
  readonly setting: AdmissionSetting;
  /** What is decided here. */
  readonly mode: AdmissionMode;
  readonly inputs: ParameterInputs & {
    readonly versions: ParameterInputs["versions"] & Changing & { readonly ready: Promise<void> };
    readonly zones: ParameterInputs["zones"] & Changing & { readonly ready: Promise<void> };
  };
  /** fairlead's own configuration alone. */
  readonly configurations: Cache<WebhookConfiguration>;
  /** Where the API servers listen, and when that changes. */
  readonly servers: Changing & { list(): readonly ServerAddress[] };
  readonly events: EventRecorder;
}

/** The capability at work. */
export interface PoliciesController {
  readonly queue: Queue;
  /** Looks at everything again. */
  resync(): void;
  stop(): void;
}

const MODE_KEY = "mode";
const NAMESPACE_PREFIX = "namespace/";
/** Longer than a watch of the API server's own takes, by far. */
const PROPAGATION_MS = 10_000;
/** Each step makes way for the next; more mean that somebody else writes, too. */
const MAX_STEPS = 12;
/** A write that was refused may be allowed by then. */
const BLOCKED_MS = 600_000;
/** Policies that are relied on are looked at again. */
const RECHECK_MS = 600_000;
/** Where many namespaces change, the cluster's parameters are written for some at once. */
const TOGETHER_MS = 100;
/** What is waited for is heard of; this is for what did not change by a write. */
const LOOK_AGAIN: Outcome = { kind: "again", afterMs: 2_000 };
const DONE: Outcome = { kind: "done" };

/** What becomes of the parameters. */
type ParameterMode = "leave" | "keep" | "remove";

class Policies implements PoliciesController {
  readonly queue: Queue;
  readonly #servers: ApiServers;
  readonly #policies: PolicyCaches;
  readonly #parameters: ParameterMaps;
  readonly #routes = new RouteIndex();
  readonly #teller: AdmissionTeller;
  #memory: Memory = NOTHING_REMEMBERED;
  #served: PolicyVersion | undefined;
  /** How wide API servers are to be asked before the next plan; undefined: what is known will do. */
  #ask: Width | undefined = "all";
  #mark: string | undefined;
  #parameterMode: ParameterMode = "leave";
  #checkedAtMs = 0;
  /** Since when all of a namespace, policies aside, has been the webhook's. */
  readonly #leftAtMs = new Map<string, number>();
  #isReady = false;
  #isOpen = false;

  constructor(private readonly context: PoliciesContext) {
    const { client, clock, log, metrics, servers, inputs } = context;
    this.#servers = new ApiServers({ client, clock, log, addresses: () => servers.list() });
    this.#policies = new PolicyCaches(context, () => {
      this.#wake();
    });
    this.#parameters = new ParameterMaps(context, inputs, {
      owner: () => this.#owner(),
      isLeft: (namespace) => this.#isLeft(namespace),
    });
    this.#teller = new AdmissionTeller({ ...context, configuration: () => this.#configuration() });
    this.queue = createQueue({
      name: "policies",
      reconcile: async (key) => this.#reconcile(key),
      clock,
      log,
      metrics,
    });
    this.#listen();
    void this.#start();
  }

  resync(): void {
    const { setting } = this.context;
    if (!this.#isReady) return;
    this.#parameters.forgetRefusals();
    // What is relied on is seen to be in force; what is not served may be by now.
    if (this.#memory.isTrusted !== true && setting !== "Webhook") this.#ask ??= "one";
    this.#everythingChanged();
  }

  stop(): void {
    this.queue.stop();
    this.#policies.stop();
    this.#parameters.stop();
  }

  async #start(): Promise<void> {
    const { inputs, configurations } = this.context;
    const { routes, services, hostedAPIServers, namespaces, versions, zones } = inputs;
    const caches = [routes, services, hostedAPIServers, namespaces, configurations];
    await Promise.all([...caches.map(async ({ synced }) => synced), versions.ready, zones.ready]);
    this.#isReady = true;
    this.#wake();
  }

  /** Opens what else is watched, where that may be: a watch that is refused would end the process. */
  async #open(): Promise<boolean> {
    if (this.#isOpen) return true;
    const missing = await missingRight(this.context);
    if (missing !== undefined) {
      await this.#teller.tell({ by: "webhook", reason: "RightsMissing", message: missing });
      return false;
    }
    const live = this.#parameters.open();
    live.onChange((change) => {
      this.#parametersChanged(change);
    });
    await Promise.all([live.synced, this.#policies.open()]);
    this.#isOpen = true;
    return true;
  }

  #listen(): void {
    const { inputs, configurations, servers } = this.context;
    const { routes, services, hostedAPIServers, namespaces, versions, zones } = inputs;
    const ofNamespace = ({ object }: { readonly object: KubernetesObject }): void => {
      this.#namespaceChanged(object.metadata.namespace ?? "");
    };
    for (const configMap of routes.list()) this.#routes.put(configMap);
    routes.onChange((change) => {
      const { kind, object } = change;
      if (kind === "deleted") this.#routes.remove(object.metadata.namespace ?? "");
      else this.#routes.put(object);
      ofNamespace(change);
    });
    hostedAPIServers.onChange(ofNamespace);
    namespaces.onChange(({ object }) => {
      if (object.metadata.deletionTimestamp !== undefined) {
        this.#namespaceChanged(object.metadata.name);
      }
    });
    services.onChange(({ object }) => {
      for (const each of this.#routes.routedTo(keyOf(object))) this.#namespaceChanged(each);
    });
    configurations.onChange(() => {
      this.#everythingChanged();
    });
    zones.onChange(() => {
      this.#everythingChanged();
    });
    for (const source of [versions, servers]) {
      source.onChange(() => {
        // What is relied on is looked at again, too.
        this.#ask = "all";
        this.#checkedAtMs = 0;
        this.#everythingChanged();
      });
    }
  }

  #parametersChanged({ object, previous = object }: Change<ConfigMap>): void {
    const { namespace = "" } = object.metadata;
    this.#namespaceChanged(namespace);
    // Those that counted may go when they count no more.
    const counted = namespace === SYSTEM_NAMESPACE ? noLongerCounted(previous, object) : [];
    for (const each of counted) this.#namespaceChanged(each);
    const { isTrusted, foreignAtMs } = this.#memory;
    const isSettled = isTrusted === true && foreignAtMs.size === 0;
    if (!isSettled || !isManaged(object) || !isManaged(previous)) this.#wake();
  }

  #wake(): void {
    if (this.#isReady) this.queue.add(MODE_KEY);
  }

  #everythingChanged(): void {
    this.#wake();
    this.#wakeNamespaces();
  }

  #wakeNamespaces(): void {
    if (!this.#isReady || this.#parameterMode === "leave") return;
    for (const namespace of this.#parameters.namespaces()) {
      this.queue.add(NAMESPACE_PREFIX + namespace);
    }
  }

  #namespaceChanged(namespace: string): void {
    if (!this.#isReady || this.#parameterMode === "leave") return;
    this.queue.add(NAMESPACE_PREFIX + namespace);
    // It may be one whose own parameters count, or count no more.
    if (namespace !== SYSTEM_NAMESPACE) {
      this.queue.add(NAMESPACE_PREFIX + SYSTEM_NAMESPACE, TOGETHER_MS);
    }
    if (this.#parameters.isInTheWay(namespace)) this.#wake();
  }

  async #reconcile(key: string): Promise<Outcome> {
    if (key === MODE_KEY) return this.#reconcileMode();
    return this.#reconcileNamespace(key.slice(NAMESPACE_PREFIX.length));
  }

  async #reconcileNamespace(namespace: string): Promise<Outcome> {
    const mode = this.#parameterMode;
    if (mode === "leave") return DONE;
    try {
      const action = await (mode === "keep"
        ? this.#parameters.keep(namespace)
        : this.#parameters.remove(namespace));
      if (action === "wait") return LOOK_AGAIN;
      if (action === "none") return DONE;
      const reason = mode === "keep" ? "Parameters" : "NotWanted";
      const key = `${namespace}/`;
      tellChange(this.context, { capability: "policies", key, action, reason });
      return DONE;
    } catch (error) {
      // What is true now is looked at when the cache has heard of it.
      if (isConflict(error) || isAlreadyExists(error) || isNotFound(error)) return DONE;
      if (!isForbidden(error) && !isInvalid(error)) throw error;
      this.#wake();
      throw error;
    }
  }

  async #reconcileMode(): Promise<Outcome> {
    if (!(await this.#open())) return DONE;
    const width = this.#ask ?? "one";
    await this.#askWhatIsServed();
    let sight: Sight = await this.#recheck(width);
    for (let step = 0; step < MAX_STEPS; step += 1) {
      const observed = this.#observe(sight);
      const planned = planPolicies(observed, this.#memory);
      this.#memory = planned.memory;
      await this.#teller.tell(planned.admission);
      this.#keepParameters(planned, observed);
      if (planned.plan.step === "rest") return this.#comeToRest(planned.plan.nextAtMs);
      sight = await this.#take(planned.plan, observed);
      // The caches hear of a write a moment later, and wake this key then.
      if (planned.plan.step === "params" || planned.plan.step === "write") return LOOK_AGAIN;
    }
    throw new Error("somebody else keeps writing fairlead's policies");
  }

  async #askWhatIsServed(): Promise<void> {
    const { inputs } = this.context;
    const width = this.#ask;
    if (width === undefined) return;
    const served = await this.#servers.served(inputs.versions.minor ?? 0, width);
    // Asked anew meanwhile, it is asked again.
    if (this.#ask === width) this.#ask = undefined;
    if (served === this.#served) return;
    // One that is served more widely than one API server says is known only from all.
    if (width === "one" && served !== undefined) {
      this.#ask = "all";
      return this.#askWhatIsServed();
    }
    this.#served = served;
    this.context.log.info({ version: served ?? "none" }, "MutatingAdmissionPolicies are served in");
    await this.#policies.follow(served);
  }

  /** What is relied on is asked for now and then, and wherever API servers have come or gone. */
  async #recheck(width: Width): Promise<Sight> {
    const { client, clock } = this.context;
    if (this.#memory.isTrusted !== true) return "unseen";
    if (clock.nowMs() < this.#checkedAtMs + RECHECK_MS) return "unseen";
    this.#checkedAtMs = clock.nowMs();
    // An earlier watcher has written it.
    this.#mark ??= await readMark(client);
    if (this.#mark === undefined) return "unseen";
    return this.#servers.look(this.#mark, width);
  }

  #comeToRest(nextAtMs: number | undefined): Outcome {
    const { clock } = this.context;
    const recheckAtMs =
      this.#memory.isTrusted === true ? this.#checkedAtMs + RECHECK_MS : undefined;
    const times = [nextAtMs, recheckAtMs].filter((ms) => ms !== undefined);
    if (times.length === 0) return DONE;
    return { kind: "again", afterMs: Math.max(1, Math.min(...times) - clock.nowMs()) };
  }

  async #take(step: Exclude<PolicyStep, { step: "rest" }>, observed: Observed): Promise<Sight> {
    switch (step.step) {
      case "params":
        this.#wakeNamespaces();
        return "unseen";
      case "mark":
        await this.#attempt(async () => {
          await writeMark(this.context.client, observed.mark.wanted, this.#owner());
          this.#mark = observed.mark.wanted;
        });
        return "unseen";
      case "look":
        this.#checkedAtMs = observed.nowMs;
        return this.#servers.look(observed.mark.wanted, "all");
      case "write":
        for (const write of step.writes) {
          const { action } = write;
          const object = write.action === "create" ? write.object : write.seen;
          await this.#attempt(async () => {
            await execute(this.context.client, write);
            const decision = { capability: "policies", key: `/${object.metadata.name}`, action };
            const reason = action === "delete" ? "NotWanted" : "OutOfLine";
            tellChange(this.context, { ...decision, reason }, { kind: object.kind });
          });
          if (this.#memory.block !== undefined) break;
        }
        return "unseen";
    }
  }

  /** Somebody was faster: what is true now is looked at next. What is refused is not tried again for a while. */
  async #attempt(write: () => Promise<void>): Promise<void> {
    const { clock } = this.context;
    try {
      await write();
    } catch (error) {
      if (isConflict(error) || isAlreadyExists(error)) {
        this.queue.add(MODE_KEY, 1_000);
        return;
      }
      const refusal = describeRefusal(error);
      if (refusal === undefined) throw error;
      const untilMs = clock.nowMs() + BLOCKED_MS;
      const block: Block = { reason: "WriteRefused", message: refusal.message, untilMs };
      this.#memory = { ...this.#memory, block };
      this.#wake();
    }
  }

  #configuration(): WebhookConfiguration | undefined {
    return this.context.configurations.get(WEBHOOK_CONFIGURATION);
  }

  /** What goes with fairlead's installation: garbage collection takes all that it owns. */
  #owner(): OwnerReference | undefined {
    const configuration = this.#configuration();
    if (configuration === undefined) return undefined;
    const { name, uid = "" } = configuration.metadata;
    const { apiVersion, kind } = configuration;
    return { apiVersion, kind, name, uid };
  }

  #desired(): readonly AnyPolicy[] {
    if (this.#served === undefined) return [];
    const { scope } = this.context;
    const namespaces = scope?.controlPlanes;
    const rules = policyObjects({
      apiVersion: this.#served,
      ...(namespaces === undefined ? {} : { namespaces }),
    });
    const owner = this.#owner();
    return [...rules, ...inForceObjects(this.#served)].map((each) => marked(each, owner));
  }

  /** Whether all API servers have heard that all of a namespace reaches the webhook. */
  #isLeft(namespace: string): boolean {
    const { clock } = this.context;
    if (!hasNamespace(this.#live(), namespace)) {
      this.#leftAtMs.delete(namespace);
      return false;
    }
    const leftAtMs = this.#leftAtMs.get(namespace) ?? clock.nowMs();
    this.#leftAtMs.set(namespace, leftAtMs);
    return clock.nowMs() >= leftAtMs + PROPAGATION_MS;
  }

  #live(): WebhookFields | undefined {
    return this.#configuration()?.webhooks?.find(({ name }) => name === WEBHOOK_NAME);
  }

  #webhookState(): WebhookState {
    if (this.#configuration() === undefined) return { kind: "absent" };
    const { scope, inputs } = this.context;
    const kind = widthOf(this.#live(), {
      serviceNames: namedServices(inputs.hostedAPIServers.list()),
      ...(scope === undefined ? {} : { namespaces: scope.controlPlanes }),
    });
    return { kind };
  }

  #observe(sight: Sight): Observed {
    const { clock, setting } = this.context;
    const desired = this.#desired();
    const live = this.#policies.list(new Set(desired.map(nameOf)));
    const versions = live.map((each) => [
      nameOf(each),
      each.metadata.uid,
      each.metadata.generation,
    ]);
    const wanted = digest([versions.sort(), this.#parameters.versions()]);
    return {
      nowMs: clock.nowMs(),
      setting,
      served: this.#served,
      webhook: this.#webhookState(),
      desired,
      live,
      params: this.#parameters.state(),
      mark: { wanted, is: this.#mark },
      sight,
      propagationMs: PROPAGATION_MS,
    };
  }

  /** While policies are there they must not act by what is old, whoever is relied on. */
  #keepParameters({ admission, plan }: Planned, { live, webhook }: Observed): void {
    const before = this.#parameterMode;
    const isOnTheWay = admission.by === "policies" || this.#isWanted(admission);
    const isActing = live.some((each) => isManaged(each) && !isLasting(each));
    const isKept = isOnTheWay || (isActing && webhook.kind !== "absent");
    if (plan.step === "params" && !plan.wanted) this.#parameterMode = "remove";
    else if (isKept) this.#parameterMode = "keep";
    else if (before === "keep") this.#parameterMode = "leave";
    if (before !== this.#parameterMode) this.#wakeNamespaces();
  }

  #isWanted({ reason }: Admission): boolean {
    return reason === "Preparing" || reason === "NotInForce" || reason === "Contested";
  }
}

/** The namespaces whose own parameters counted by the cluster's before, and do not now. */
function noLongerCounted(before: ConfigMap, after: ConfigMap): readonly string[] {
  return Object.keys(before.data ?? {})
    .filter((key) => key.startsWith(OWN_PARAMETERS_PREFIX) && after.data?.[key] === undefined)
    .map((key) => key.slice(OWN_PARAMETERS_PREFIX.length));
}

/**
 * Keeps fairlead's admission policies and their parameters in line, and decides by what Pods and Services are admitted:
 * by policies once they are in force everywhere, else by the webhook.
 */
export function policiesController(context: PoliciesContext): PoliciesController {
  return new Policies(context);
}
