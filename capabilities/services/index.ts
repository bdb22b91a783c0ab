import { a, Capability } from "pepr";
import {
  cloneShallowly,
  type AdmissionNotes,
  type Clock,
  type Logger,
  type Metrics,
} from "../../lib/cluster";
import { describeRequester, recentRounds, type ContestSettings } from "./contest";
import { decideTrafficDistribution, marksOf, type Decision, type Update } from "./decide";
import { topologyOf, whenReady, type ServicesInputs, type ServicesSettings } from "./inputs";
import type { Service } from "../../lib/domain/traffic-distribution";
import { within } from "./within";

export { servicesController, type ServicesController } from "./controller";
export { defaultServicesSettings, type ServicesInputs, type ServicesSettings } from "./inputs";
export type { Service } from "../../lib/domain/traffic-distribution";
export { addressesFrom, apiServerEndpoints, VersionSource } from "./version-source";
export { ZoneCounter, zonedNodes } from "./zones";

/** What the admission of Services needs. */
export interface ServicesCapabilityOptions {
  /** Resolves once the caches were opened, which may be long after the capability was made. */
  readonly inputs: Promise<ServicesInputs>;
  readonly notes: Pick<AdmissionNotes, "warn">;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics?: Metrics | undefined;
  readonly settings: Pick<ServicesSettings, "admissionWaitMs" | "contest">;
}

/** Services that were set back lately; more than a cluster has of them at a time. */
const MAX_REMEMBERED = 1_000;

/** Counts how often requests took fairlead's value away: such a round leaves no trace in the API server. */
class RoundCounter {
  readonly #rounds = new Map<string, readonly number[]>();

  constructor(private readonly settings: ContestSettings) {}

  count(uid: string, nowMs: number): number {
    return recentRounds(this.#rounds.get(uid) ?? [], nowMs, this.settings).length;
  }

  add(uid: string, nowMs: number): void {
    const rounds = recentRounds(this.#rounds.get(uid) ?? [], nowMs, this.settings);
    this.#rounds.delete(uid);
    this.#rounds.set(uid, [...rounds, nowMs]);
    const oldest = this.#rounds.keys().next();
    if (this.#rounds.size > MAX_REMEMBERED && oldest.done !== true) {
      this.#rounds.delete(oldest.value);
    }
  }

  forget(uid: string): void {
    this.#rounds.delete(uid);
  }
}

interface FieldManagerOptions {
  readonly fieldManager?: string;
}

/** What an AdmissionRequest tells about an update; undefined for a create. */
interface Request {
  readonly userInfo: { readonly username?: string };
  readonly options?: FieldManagerOptions;
  readonly previous: Service | undefined;
}

function updateOf(
  { userInfo, options, previous }: Request,
  rounds: { readonly before: number; readonly limit: number },
): Update | undefined {
  if (previous === undefined) return undefined;
  const username = userInfo.username ?? "";
  return {
    previous,
    requester: { username, fieldManager: options?.fieldManager ?? "" },
    roundsBefore: rounds.before,
    contestAfterRounds: rounds.limit,
  };
}

/** Where a request comes from and what came of it, to be counted and logged. */
interface Decided {
  readonly uid: string;
  readonly key: string;
  readonly decision: Decision;
  readonly update: Update | undefined;
}

/**
 * The admission of Services: sets, moves and removes trafficDistribution, without any call to the API server. A request
 * that arrives before the inputs are known waits for them; where that takes too long, the Service is let through as it
 * is, and the watch brings it in line.
 */
export function servicesCapability(options: ServicesCapabilityOptions): Capability {
  const { notes, clock, log, metrics, settings } = options;
  const rounds = new RoundCounter(settings.contest);
  let known: ServicesInputs | undefined;
  const ready = options.inputs.then(async (inputs) => {
    await whenReady(inputs);
    known = inputs;
    return inputs;
  });
  const limit = { clock, limitMs: settings.admissionWaitMs };

  const follow = ({ uid, key, decision, update }: Decided): void => {
    if (decision.reason === "SetAgain") rounds.add(uid, clock.nowMs());
    if (decision.reason === "Contested") rounds.forget(uid);
    if (decision.kind === "keep") return;
    const by = update === undefined ? {} : { by: describeRequester(update.requester) };
    const about = { capability: "services", key, action: "change", reason: decision.reason, ...by };
    if (decision.reason === "Contested") log.warn(about, "changed");
    else log.info(about, "changed");
  };

  const capability = new Capability({
    name: "services",
    description: "Sets trafficDistribution on the Services of control planes that span zones.",
    namespaces: [],
  });
  capability
    .When(a.Service)
    .IsCreatedOrUpdated()
    .Mutate(async (request) => {
      const { uid: requestUid, namespace = "", name, subResource, userInfo } = request.Request;
      if ((subResource ?? "") !== "") return;
      const key = `${namespace}/${name}`;
      const inputs = known ?? (await within(ready, limit));
      if (inputs === undefined) {
        const left = { capability: "services", action: "keep", reason: "InputsUnknown" };
        metrics?.admissionDecided(left);
        log.warn({ ...left, key }, "left to the watch");
        return;
      }
      const service = request.Raw as unknown as Service;
      // The API server sends null where there is none.
      const previous = (request.OldResource ?? undefined) as Service | undefined;
      const uid = previous?.metadata.uid ?? "";
      const before = rounds.count(uid, clock.nowMs());
      const update = updateOf(
        { userInfo, options: request.Request.options as FieldManagerOptions, previous },
        { before, limit: settings.contest.rounds },
      );
      const decision = decideTrafficDistribution(service, {
        ...topologyOf(inputs, namespace),
        ...(update === undefined ? {} : { update }),
      });
      for (const warning of decision.warnings) notes.warn(requestUid, warning);
      if (request.IsDryRun !== true) follow({ uid, key, decision, update });
      const decided = { capability: "services", action: decision.kind, reason: decision.reason };
      metrics?.admissionDecided(decided);
      log.debug({ ...decided, key, ...marksOf(service) }, "decided");
      if (decision.kind === "change") {
        request.Raw = cloneShallowly(decision.service) as unknown as a.Service;
      }
    });
  return capability;
}
