import { targetName, type GatewayCheck, type GatewayTarget } from "./checks";
import type { GatewaySightings } from "./observed";

/** What was seen is looked at again when it is older. */
export const SIGHTING_MAX_AGE_MS = 600_000;

/** What was seen of a gateway, and the present. */
export interface Seen {
  readonly sightings: GatewaySightings | undefined;
  readonly nowMs: number;
}

/** A failing check that was good before counts only after this time: gateways come and go. */
const FLAP_MS = 10_000;

/** Whether a check that fails has not done so for long. */
export function isMomentary({ sightings, nowMs }: Seen): boolean {
  return nowMs - (sightings?.failingSinceMs ?? nowMs) < FLAP_MS;
}

/** How what was seen of a check stands. */
export interface Verdict {
  readonly missing: readonly GatewayTarget[];
  readonly problems: readonly string[];
  /** Cluster IPs that lead to it. */
  readonly addresses: readonly string[];
}

/** Judges what was seen of a check; of an other one nothing counts. */
export function verdictOf({ sightings }: Seen, check: GatewayCheck): Verdict {
  const verdicts =
    sightings?.check === check.id ? sightings.verdicts : new Map<string, undefined>();
  const targets = [...check.pods, ...check.services];
  const isGood = (target: GatewayTarget): boolean =>
    verdicts.has(targetName(target)) && verdicts.get(targetName(target)) === undefined;
  const problemOf = (target: GatewayTarget): readonly string[] => {
    const problem = verdicts.get(targetName(target));
    return problem === undefined ? [] : [`${targetName(target)}: ${problem}`];
  };
  const addresses = check.services.filter(isGood).map(({ address }) => address);
  const servicesFail = addresses.length === 0 ? check.services.flatMap(problemOf) : [];
  return {
    // What failed is looked at again each time.
    missing: targets.filter((target) => !isGood(target)),
    problems: [...check.pods.flatMap(problemOf), ...servicesFail],
    addresses,
  };
}

/** Where to look: what failed or is new each time, and everything once what was seen is old. */
export function targetsOf(
  { sightings, nowMs }: Seen,
  check: GatewayCheck,
  { missing }: Verdict,
): readonly GatewayTarget[] {
  const isOld =
    sightings?.check === check.id && nowMs - sightings.completeAtMs >= SIGHTING_MAX_AGE_MS;
  return isOld ? [...check.pods, ...check.services] : missing;
}

/** What is wrong, as the end of a sentence; undefined where nothing was seen to be. */
export function problemsOf({ problems: [first, ...rest] }: Verdict): string | undefined {
  if (first === undefined) return undefined;
  return rest.length > 0 ? `${first} (and ${rest.length} more)` : first;
}
