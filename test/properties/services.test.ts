import fc from "fast-check";
import { defaultContestSettings } from "../../capabilities/services/contest";
import {
  decideTrafficDistribution,
  marksOf,
  type DecisionContext,
  type Update,
} from "../../capabilities/services/decide";
import {
  NOTHING_REMEMBERED,
  planService,
  rememberWrite,
  type ServicePlan,
} from "../../capabilities/services/plan";
import {
  trafficDistributionFor,
  type Service,
  type Topology,
} from "../../lib/domain/traffic-distribution";
import { observeVersions, VERSION_UNKNOWN } from "../../capabilities/services/version";
import type { HostedAPIServer } from "../../lib/api";
import { API_VERSION } from "../../lib/domain/names";

const MARK = "fairlead.dev/traffic-distribution";
const CONTESTED = "fairlead.dev/contested";
const MODE = "service.kubernetes.io/topology-mode";
const HINTS = "service.kubernetes.io/topology-aware-hints";
const WATCH = "fairlead-services";

const absentOr = <T>(arbitrary: fc.Arbitrary<T>) =>
  fc.option(arbitrary, { nil: undefined, freq: 2 });
/** Present in one of eight: it would hide everything else. */
const rarely = <T>(arbitrary: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 7, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary });
const value = fc.constantFrom("PreferClose", "PreferSameZone", "PreferSameNode");
const name = fc.constantFrom("etcd-main-client", "kube-apiserver", "tenant-api", "web");

function present<T>(entries: Record<string, T | undefined>): Record<string, T> {
  return Object.fromEntries(
    Object.entries(entries).filter((entry): entry is [string, T] => entry[1] !== undefined),
  );
}

function absentIfEmpty(key: string, entries: Record<string, string>): object {
  return Object.keys(entries).length === 0 ? {} : { [key]: entries };
}

interface Draw {
  name: string;
  value: string | undefined;
  mark: string | undefined;
  contested: string | undefined;
  mode: string | undefined;
  hints: string | undefined;
  label: string | undefined;
  other: string | undefined;
  type: string;
  isDeleting: boolean;
}

function makeService(draw: Draw): Service {
  const annotations = present({
    [MARK]: draw.mark,
    [CONTESTED]: draw.contested,
    [MODE]: draw.mode,
    [HINTS]: draw.hints,
    "example.com/other": draw.other,
  });
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: {
      name: draw.name,
      namespace: "tenant",
      resourceVersion: "1",
      ...absentIfEmpty("annotations", annotations),
      ...absentIfEmpty("labels", present({ "fairlead.dev/topology-aware": draw.label })),
      ...(draw.isDeleting ? { deletionTimestamp: "2026-01-01T00:00:00Z" } : {}),
    },
    spec: { type: draw.type, ...present({ trafficDistribution: draw.value }) },
  };
}

const service = fc
  .record<Draw>({
    name,
    value: absentOr(value),
    mark: absentOr(value),
    contested: rarely(fc.constant("somebody")),
    mode: rarely(fc.constantFrom("Auto", "Disabled")),
    hints: rarely(fc.constant("auto")),
    label: absentOr(fc.constantFrom("true", "true", "false")),
    other: absentOr(fc.constant("kept")),
    type: fc.constantFrom("ClusterIP", "ClusterIP", "ClusterIP", "ExternalName"),
    isDeleting: rarely(fc.constant(true)).map((drawn) => drawn === true),
  })
  .map(makeService);

const hostedAPIServer: fc.Arbitrary<HostedAPIServer> = fc
  .record({
    enabled: fc.boolean(),
    own: absentOr(name),
    services: absentOr(fc.uniqueArray(name)),
    mode: absentOr(fc.constantFrom("L7" as const, "L4" as const)),
  })
  .map(({ enabled, own, services, mode }) => ({
    apiVersion: API_VERSION,
    kind: "HostedAPIServer" as const,
    metadata: { name: "api", namespace: "tenant" },
    spec: {
      kubernetesVersion: "1.34.2",
      hosts: ["api.example.com"],
      ...(own === undefined ? {} : { service: { name: own } }),
      topologyAware: { enabled, ...(services === undefined ? {} : { services }) },
    },
    ...(mode === undefined ? {} : { status: { loadBalancing: mode } }),
  }));

const topology: fc.Arbitrary<Topology> = fc.record({
  minor: fc.oneof(fc.integer({ min: 29, max: 37 }), rarely(fc.constant(34))),
  zones: fc.oneof(fc.integer({ min: 0, max: 3 }), rarely(fc.constant(2))),
  hostedAPIServers: fc.array(hostedAPIServer, { maxLength: 3 }),
});

const update: fc.Arbitrary<Update> = fc.record({
  previous: service,
  requester: fc.record({
    username: fc.constantFrom("somebody", "admin"),
    fieldManager: fc.constantFrom("", "kubectl-edit", WATCH),
  }),
  roundsBefore: fc.nat({ max: 5 }),
  contestAfterRounds: fc.constant(5),
});

const context: fc.Arbitrary<DecisionContext> = fc
  .tuple(topology, absentOr(update))
  .map(([known, of]) => ({ ...known, ...(of === undefined ? {} : { update: of }) }));

const after = (subject: Service, of: DecisionContext): Service => {
  const decision = decideTrafficDistribution(subject, of);
  return decision.kind === "change" ? decision.service : subject;
};

const on: Topology = {
  minor: 34,
  zones: 3,
  hostedAPIServers: [
    {
      apiVersion: API_VERSION,
      kind: "HostedAPIServer",
      metadata: { name: "api", namespace: "tenant" },
      spec: {
        kubernetesVersion: "1.34.2",
        hosts: ["api.example.com"],
        topologyAware: { enabled: true, services: ["etcd-main-client", "tenant-api", "web"] },
      },
    },
  ],
};
const off: Topology = { ...on, zones: 1 };

describe("the decision about a Service", () => {
  it("made twice equals made once, as reinvocation asks for", () => {
    fc.assert(
      fc.property(service, context, (subject, of) => {
        const once = after(subject, of);
        expect(decideTrafficDistribution(once, of).kind).toBe("keep");
      }),
    );
  });

  it("never modifies what it is given", () => {
    fc.assert(
      fc.property(service, context, (subject, of) => {
        const before = structuredClone({ subject, of });
        decideTrafficDistribution(subject, of);
        expect({ subject, of }).toEqual(before);
      }),
    );
  });

  it("never touches a value that is not fairlead's", () => {
    fc.assert(
      fc.property(service, context, (subject, of) => {
        const { value: own, mark } = marksOf(subject);
        const before = of.update === undefined ? undefined : marksOf(of.update.previous);
        const isMarkLost = before !== undefined && before.value === own && before.mark === own;
        fc.pre(own !== undefined && own !== mark && !isMarkLost);
        expect(after(subject, of).spec?.trafficDistribution).toBe(own);
      }),
    );
  });

  it("never sets the value beside topology-mode or topology-aware-hints", () => {
    fc.assert(
      fc.property(service, context, (subject, of) => {
        const annotations = subject.metadata.annotations ?? {};
        fc.pre(MODE in annotations || HINTS in annotations);
        const set = after(subject, of).spec?.trafficDistribution;
        expect([undefined, subject.spec?.trafficDistribution]).toContain(set);
      }),
    );
  });

  it("touches nothing but the value and fairlead's two annotations", () => {
    const rest = ({ metadata, spec, ...others }: Service) => {
      const { annotations = {}, ...meta } = metadata;
      const { [MARK]: _mark, [CONTESTED]: _contested, ...kept } = annotations;
      const { trafficDistribution: _value, ...shape } = spec ?? {};
      return { ...others, meta, kept, shape };
    };
    fc.assert(
      fc.property(service, context, (subject, of) => {
        expect(rest(after(subject, of))).toEqual(rest(subject));
      }),
    );
  });

  it("leaves a mark only with the value that it names", () => {
    fc.assert(
      fc.property(service, context, (subject, of) => {
        const decision = decideTrafficDistribution(subject, of);
        fc.pre(decision.kind === "change" && decision.reason !== "ContestKept");
        const { value: set, mark } = marksOf(after(subject, of));
        expect([undefined, set]).toContain(mark);
      }),
    );
  });

  it("never sets a value that the cluster's version does not know", () => {
    fc.assert(
      fc.property(service, context, (subject, of) => {
        const set = after(subject, of).spec?.trafficDistribution;
        const { minor = 0 } = of;
        const known = minor < 31 ? undefined : minor < 34 ? "PreferClose" : "PreferSameZone";
        expect([undefined, subject.spec?.trafficDistribution, known]).toContain(set);
      }),
    );
  });

  it("never changes a contested Service", () => {
    fc.assert(
      fc.property(service, context, (subject, of) => {
        const annotations = { ...subject.metadata.annotations, [CONTESTED]: "somebody" };
        const contested = { ...subject, metadata: { ...subject.metadata, annotations } };
        expect(after(contested, of)).toBe(contested);
      }),
    );
  });

  it("turned on and then off gives back what was there", () => {
    fc.assert(
      fc.property(service, (subject) => {
        const { mark } = marksOf(subject);
        fc.pre(mark === undefined);
        expect(after(after(subject, on), off)).toEqual(after(subject, off));
        expect(after(subject, off)).toEqual(subject);
      }),
    );
  });
});

describe("the plan for a Service", () => {
  const plan = { nowMs: 0, contest: defaultContestSettings };

  function applied(subject: Service, planned: ServicePlan) {
    const marks = marksOf(subject);
    if (planned.kind === "keep") return marks;
    const { spec, metadata } = planned.patch;
    return {
      ...marks,
      mark: metadata.annotations[MARK] ?? undefined,
      value: spec === undefined ? marks.value : (spec.trafficDistribution ?? undefined),
    };
  }

  it("leads to where the decision leads", () => {
    fc.assert(
      fc.property(service, topology, (subject, known) => {
        const planned = planService(subject, { ...known, ...plan }, NOTHING_REMEMBERED);
        expect(applied(subject, planned)).toEqual(marksOf(after(subject, known)));
      }),
    );
  });

  /** Somebody takes the value away after each write, or within it. */
  function fight(losses: readonly boolean[]) {
    let memory = NOTHING_REMEMBERED;
    let version = 1;
    let writes = 0;
    for (const isLostAtOnce of losses) {
      const metadata = { name: "web", namespace: "tenant", resourceVersion: String(version) };
      const before: Service = { apiVersion: "v1", kind: "Service", metadata, spec: {} };
      const next = planService(before, { ...on, ...plan }, memory);
      if (next.kind !== "patch") return { kind: next.kind, writes };
      writes += 1;
      if (!isLostAtOnce) version += 1;
      const written: Service = {
        ...before,
        metadata: { ...metadata, resourceVersion: String(version) },
        spec: isLostAtOnce ? {} : { trafficDistribution: "PreferSameZone" },
      };
      const { patch } = next;
      ({ memory } = rememberWrite(next.memory, { before, patch, after: written, nowMs: 0 }));
      if (!isLostAtOnce) version += 1;
    }
    return { kind: "patch", writes };
  }

  it("lets go after as many rounds as are allowed, whether the value is lost at once or later", () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { minLength: 10, maxLength: 20 }), (losses) => {
        expect(fight(losses)).toEqual({ kind: "contest", writes: defaultContestSettings.rounds });
      }),
    );
  });
});

describe("the version that counts", () => {
  const read = fc.record({
    minors: fc.array(fc.integer({ min: 30, max: 36 }), { maxLength: 3 }),
    afterMs: fc.nat({ max: 900_000 }),
  });
  const settings = { settleMs: 600_000 };

  it("is never above what the last good read found", () => {
    fc.assert(
      fc.property(fc.array(read), (reads) => {
        let state = VERSION_UNKNOWN;
        let atMs = 0;
        for (const { minors, afterMs } of reads) {
          atMs += afterMs;
          const versions = minors.map((minor) => ({ major: "1", minor: String(minor) }));
          state = observeVersions(state, { versions, atMs }, settings);
          const { effective = 0 } = state;
          expect(effective).toBeLessThanOrEqual(Math.min(99, ...minors));
        }
      }),
    );
  });

  it("never goes up unless every read of the last ten minutes was higher", () => {
    fc.assert(
      fc.property(fc.array(read), (reads) => {
        let state = VERSION_UNKNOWN;
        let atMs = 0;
        const seen: { lowest: number; atMs: number }[] = [];
        for (const { minors, afterMs } of reads) {
          atMs += afterMs;
          const before = state.effective;
          const versions = minors.map((minor) => ({ major: "1", minor: String(minor) }));
          if (minors.length > 0) seen.push({ lowest: Math.min(...minors), atMs });
          state = observeVersions(state, { versions, atMs }, settings);
          const { effective = 0 } = state;
          if (before === undefined || effective <= before) continue;
          const recent = seen.filter((entry) => atMs - entry.atMs < settings.settleMs);
          for (const { lowest } of recent) expect(lowest).toBeGreaterThanOrEqual(effective);
        }
      }),
    );
  });

  it("always gives a value from 1.31 on and none below", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2_000 }), (minor) => {
        expect(trafficDistributionFor(minor).kind).toBe(minor < 31 ? "none" : "value");
      }),
    );
  });
});
