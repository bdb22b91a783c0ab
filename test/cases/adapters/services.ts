import { topologyAwareCondition } from "../../../capabilities/services/condition";
import { defaultContestSettings } from "../../../capabilities/services/contest";
import { decideTrafficDistribution, type Update } from "../../../capabilities/services/decide";
import { planService } from "../../../capabilities/services/plan";
import type { Service, Topology } from "../../../lib/domain/traffic-distribution";
import { observeVersions, VERSION_UNKNOWN } from "../../../capabilities/services/version";
import type { HostedAPIServer, KubernetesObject } from "../../../lib/api";
import { effectiveMinor, type VersionInfo } from "../../../lib/domain/kubernetes-version";
import type { CaseAdapter, Given } from "../runner";

const SETTLE_MS = 600_000;
const MINUTE_MS = 60_000;

interface World {
  /** Of the management cluster; absent: not known yet. */
  readonly kubernetesVersion?: string;
  /** Zones of its nodes; absent: not known yet. */
  readonly zones?: readonly string[];
  /** Who sends an update. */
  readonly requester?: { readonly username: string; readonly fieldManager?: string };
  /** How often the Service was set back lately. */
  readonly roundsBefore?: number;
}

/** The watch looks at a Service of given.yaml. */
interface WatchSubject extends KubernetesObject {
  readonly kind: "Watch";
  readonly spec?: {
    /** The Service carried fairlead's value when it was last seen. */
    readonly held?: boolean;
  };
}

/** API servers are asked for their version; what counts after each read. */
interface VersionsSubject {
  readonly kind: "Versions";
  readonly reads: readonly {
    readonly minute: number;
    readonly answers: readonly (string | VersionInfo)[];
  }[];
}

type Subject = Service | HostedAPIServer | WatchSubject | VersionsSubject;

const inNamespace = ({ objects }: Given, kind: string, namespace: string | undefined) =>
  objects.filter((object) => object.kind === kind && object.metadata.namespace === namespace);

function infoOf(answer: string | VersionInfo): VersionInfo {
  return typeof answer === "string" ? { major: "", minor: "", gitVersion: answer } : answer;
}

function topologyOf(given: Given, namespace: string | undefined): Topology {
  const world = given.world as World;
  return {
    minor:
      world.kubernetesVersion === undefined
        ? undefined
        : effectiveMinor(infoOf(world.kubernetesVersion)),
    zones: world.zones === undefined ? undefined : new Set(world.zones).size,
    hostedAPIServers: inNamespace(given, "HostedAPIServer", namespace) as HostedAPIServer[],
  };
}

function findService(given: Given, { name, namespace }: Service["metadata"]): Service | undefined {
  return inNamespace(given, "Service", namespace).find(({ metadata }) => metadata.name === name);
}

function updateOf(given: Given, service: Service): Update | undefined {
  const { requester, roundsBefore = 0 } = given.world as World;
  const previous = findService(given, service.metadata);
  if (previous === undefined) return undefined;
  return {
    previous,
    requester: { username: "", fieldManager: "", ...requester },
    roundsBefore,
    contestAfterRounds: defaultContestSettings.rounds,
  };
}

function admit(given: Given, service: Service): unknown {
  const update = updateOf(given, service);
  const decision = decideTrafficDistribution(service, {
    ...topologyOf(given, service.metadata.namespace),
    ...(update === undefined ? {} : { update }),
  });
  const { reason } = decision;
  const warnings = decision.warnings.length > 0 ? decision.warnings : undefined;
  return decision.kind === "keep"
    ? { verdict: "unchanged", reason, warnings }
    : { verdict: "changed", reason, service: decision.service, warnings };
}

function watch(given: Given, { metadata, spec }: WatchSubject): unknown {
  const service = findService(given, metadata);
  if (service === undefined) throw new Error("when.yaml: the Service is not in given.yaml.");
  const { roundsBefore = 0 } = given.world as World;
  const nowMs = 100 * MINUTE_MS;
  const { memory, ...plan } = planService(
    service,
    { ...topologyOf(given, metadata.namespace), nowMs, contest: defaultContestSettings },
    {
      isHeld: spec?.held === true,
      rounds: Array.from({ length: roundsBefore }, () => nowMs - MINUTE_MS),
    },
  );
  return { ...plan, rounds: memory.rounds.length };
}

function follow({ reads }: VersionsSubject): unknown {
  let state = VERSION_UNKNOWN;
  return reads.map(({ minute, answers }) => {
    const read = { versions: answers.map(infoOf), atMs: minute * MINUTE_MS };
    state = observeVersions(state, read, { settleMs: SETTLE_MS });
    return { minute, counts: state.effective ?? "unknown" };
  });
}

/**
 * `when.yaml` is a Service that is created, or updated if given.yaml has it; a HostedAPIServer, for its condition; a
 * Watch, which names a Service of given.yaml; or Versions, a sequence of reads.
 */
export const adapter: CaseAdapter = {
  capability: "services",
  kinds: ["HostedAPIServer", "Service"],
  worldKeys: ["kubernetesVersion", "zones", "requester", "roundsBefore"],
  run(given, when) {
    const subject = when as Subject;
    switch (subject.kind) {
      case "Service":
        return admit(given, subject);
      case "HostedAPIServer": {
        const hapi = subject as HostedAPIServer;
        const { namespace } = hapi.metadata;
        const topology = topologyOf(given, namespace);
        const condition = topologyAwareCondition(hapi, {
          ...topology,
          hostedAPIServers: [...topology.hostedAPIServers, hapi],
          services: inNamespace(given, "Service", namespace),
        });
        return condition ?? { verdict: "unchanged" };
      }
      case "Watch":
        return watch(given, subject as WatchSubject);
      case "Versions":
        return follow(subject as VersionsSubject);
      default:
        throw new Error("when.yaml: a Service, a HostedAPIServer, a Watch or Versions.");
    }
  },
};
