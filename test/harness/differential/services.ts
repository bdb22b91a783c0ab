import fc from "fast-check";
import { hostedAPIServer, service } from "../objects";
import type { AnyObject } from "../api";
import { absentOr, present, rarely, type DrawnFrom } from "./draws";
import { templateName, type Place, type Question, type Requester } from "./places";
import type { Amount } from "./pods";

const MARK = "fairlead.dev/traffic-distribution";
const CONTESTED = "fairlead.dev/contested";
const DRUID = "system:serviceaccount:etcd:druid";
const names = ["etcd-main-client", "kube-apiserver", "tenant-api", "web"] as const;

const value = fc.constantFrom("PreferClose", "PreferSameZone", "PreferSameNode");
const name = fc.constantFrom(...names);

const serviceDraw = fc.record({
  value: absentOr(value),
  mark: absentOr(value),
  /** Mostly what fairlead set is whole. */
  isOurs: fc.boolean(),
  contested: rarely(fc.constantFrom(DRUID, `${DRUID} (druid)`, "somebody")),
  mode: rarely(fc.constantFrom("Auto", "Disabled")),
  hints: rarely(fc.constant("auto")),
  label: absentOr(fc.constantFrom("true", "true", "false", "maybe")),
  other: absentOr(fc.constant("kept")),
  type: fc.constantFrom("ClusterIP", "ClusterIP", "ClusterIP", "ExternalName"),
});

type ServiceDraw = DrawnFrom<typeof serviceDraw>;

function serviceOf(draw: ServiceDraw, inNamespace: string, called: string): AnyObject {
  const annotations = present({
    [MARK]: draw.isOurs ? draw.value : draw.mark,
    [CONTESTED]: draw.contested,
    "service.kubernetes.io/topology-mode": draw.mode,
    // An API server asks that they say the same.
    "service.kubernetes.io/topology-aware-hints":
      draw.hints === undefined ? undefined : (draw.mode ?? draw.hints),
    "example.com/other": draw.other,
  });
  const labels = present({ "fairlead.dev/topology-aware": draw.label });
  const created = service(inNamespace, called, {
    type: draw.type,
    ...(draw.type === "ExternalName" ? { externalName: "api.example.com" } : {}),
    ...present({ trafficDistribution: draw.value }),
  });
  return {
    ...created,
    metadata: {
      ...created.metadata,
      ...(Object.keys(annotations).length === 0 ? {} : { annotations }),
      ...(Object.keys(labels).length === 0 ? {} : { labels }),
    },
  };
}

const hostedAPIServers = fc.array(
  fc.record({
    enabled: fc.boolean(),
    own: absentOr(name),
    services: absentOr(fc.uniqueArray(name)),
    mode: absentOr(fc.constantFrom("L7", "L4")),
  }),
  { maxLength: 3 },
);

function hapisOf(draws: DrawnFrom<typeof hostedAPIServers>, inNamespace: string) {
  return draws.map(({ enabled, own, services, mode }, index) => ({
    ...hostedAPIServer(inNamespace, `api-${index}`, {
      ...(own === undefined ? {} : { service: { name: own } }),
      topologyAware: { enabled, ...present({ services }) },
    }),
    ...(mode === undefined ? {} : { status: { loadBalancing: mode } }),
  }));
}

const requester: fc.Arbitrary<Requester> = fc.constantFrom<Requester>(
  {},
  { username: DRUID },
  { username: DRUID, fieldManager: "druid" },
  { fieldManager: "fairlead-services" },
);

/** An update: half of them leave what is there and change something else, or take things away. */
const change = fc.record({
  name,
  next: serviceDraw,
  keeps: fc.subarray(["value", "mark", "contested", "mode", "hints", "label"] as const),
  dropsValue: fc.boolean(),
  requester,
});

function updated(
  previous: ServiceDraw,
  { next, keeps, dropsValue }: DrawnFrom<typeof change>,
): ServiceDraw {
  const kept = Object.fromEntries(keeps.map((key) => [key, previous[key]]));
  const mark = previous.isOurs ? previous.value : previous.mark;
  const isMarkKept = keeps.includes("mark");
  return {
    ...next,
    ...kept,
    ...(isMarkKept ? { mark, isOurs: false } : {}),
    ...(dropsValue ? { value: undefined } : {}),
  };
}

function createsIn(inNamespace: string, amount: Amount): readonly Question[] {
  const drawn = fc.sample(fc.tuple(name, serviceDraw, fc.boolean()), {
    seed: amount.seed,
    numRuns: amount.questions,
  });
  return drawn.map(([called, draw, isGenerated], number) => {
    const object = serviceOf(draw, inNamespace, called);
    const { name: _name, ...metadata } = object.metadata;
    // A warning names the Service, and before it is created it has no name yet.
    const isNamed = !isGenerated || draw.mode !== undefined || draw.hints !== undefined;
    return {
      name: `new Service ${number} of ${inNamespace}`,
      object: isNamed ? object : { ...object, metadata: { ...metadata, generateName: "some-" } },
      update: false,
      requester: {},
    };
  });
}

function updatesIn(
  inNamespace: string,
  previous: Readonly<Record<string, ServiceDraw>>,
  amount: Amount,
): readonly Question[] {
  const drawn = fc.sample(change, { seed: amount.seed, numRuns: amount.questions });
  return drawn.flatMap((draw, number) => {
    const before = previous[draw.name];
    if (before === undefined) return [];
    return {
      name: `update ${number} of Service ${draw.name} of ${inNamespace}, which is ${JSON.stringify(before)}`,
      object: serviceOf(updated(before, draw), inNamespace, draw.name),
      update: true,
      requester: draw.requester,
    };
  });
}

/** Places with HostedAPIServers; in every second one there are Services already, and they are updated. */
export function servicePlaces(amount: Amount): readonly Place[] {
  const { seed, places, firstPlace } = amount;
  const drawn = fc.sample(
    fc.tuple(hostedAPIServers, fc.tuple(serviceDraw, serviceDraw, serviceDraw, serviceDraw)),
    { seed, numRuns: places },
  );
  return drawn.map(([hapis, services], index) => {
    const inNamespace = templateName(firstPlace + index, "services");
    const previous = Object.fromEntries(
      names.flatMap((called, number) => {
        const draw = services[number];
        return draw === undefined ? [] : [[called, draw] as const];
      }),
    );
    const own = { ...amount, seed: seed + index };
    const isEmpty = index % 2 === 0;
    return {
      namespaces: [inNamespace],
      shared: [],
      before: isEmpty
        ? []
        : Object.entries(previous).map(([called, draw]) => serviceOf(draw, inNamespace, called)),
      hostedAPIServers: hapisOf(hapis, inNamespace),
      questions: isEmpty ? createsIn(inNamespace, own) : updatesIn(inNamespace, previous, own),
    };
  });
}
