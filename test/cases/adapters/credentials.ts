import type { HostedAPIServer, KubernetesObject } from "../../../lib/api";
import { keyOf } from "../../../lib/domain/keys";
import { decideSweep } from "../../../capabilities/credentials/sweep";
import { DEFAULT_SETTINGS } from "../../../capabilities/credentials/observed";
import { refOfGateway } from "../../../capabilities/credentials/accept";
import { readMark, USES, type Use } from "../../../capabilities/credentials/secrets";
import type { Secret } from "../../../capabilities/credentials/sources";
import { makeWishes } from "../../../capabilities/credentials/wishes";
import { formatTime } from "../../../lib/domain/conditions";
import {
  bringToRest,
  findObject,
  observe,
  putObject,
  type Done,
  type Rest,
  type SimulatedCluster,
} from "../../credentials/simulation";
import { fillIn, makePairs, Symbols, type CertificateSpec } from "../../credentials/symbols";
import type { CaseAdapter, Given } from "../runner";

/** An earlier moment: these objects in place of what `given.yaml` has. */
interface Step {
  readonly now: string;
  readonly objects?: readonly KubernetesObject[];
}

/** What somebody else does to a derived Secret after the last step. */
interface Tampering {
  readonly secret: Use;
  readonly delete?: boolean;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly stringData?: Readonly<Record<string, string>>;
}

interface World {
  readonly now?: string;
  readonly certificates?: Readonly<Record<string, CertificateSpec>>;
  readonly before?: readonly Step[];
  readonly meanwhile?: readonly Tampering[];
  /** The gateway's configuration still refers to what it referred to after the first step. */
  readonly exposed?: boolean;
}

const DEFAULT_NOW = "2026-01-01T00:00:00Z";

/** `stringData` becomes `data`, as the API server does it. */
function store(object: KubernetesObject): KubernetesObject {
  const { stringData, ...rest } = object as Secret & { stringData?: Record<string, string> };
  if (stringData === undefined) return object;
  const data = Object.fromEntries(
    Object.entries(stringData).map(([key, text]) => [key, Buffer.from(text).toString("base64")]),
  );
  return { ...rest, data } as KubernetesObject;
}

function tamper(
  objects: readonly KubernetesObject[],
  step: Tampering,
): readonly KubernetesObject[] {
  const target = objects.find(
    (object) =>
      readMark(object)?.use === step.secret &&
      object.metadata.annotations?.["fairlead.dev/superseded-at"] === undefined,
  );
  if (target === undefined) throw new Error(`there is no ${step.secret} Secret to tamper with`);
  if (step.delete === true) return objects.filter((object) => object !== target);
  const changed = store({
    ...target,
    metadata: {
      ...target.metadata,
      labels: { ...target.metadata.labels, ...step.labels },
      annotations: { ...target.metadata.annotations, ...step.annotations },
    },
  });
  const extra = step.stringData === undefined ? {} : { stringData: step.stringData };
  const { data: added = {} } = store({ ...changed, ...extra } as KubernetesObject) as Secret;
  const { data } = target as Secret;
  return putObject(objects, { ...changed, data: { ...data, ...added } } as KubernetesObject);
}

const PRIVATE = /PRIVATE KEY|LS0tLS1CRUdJTi/;

function describeDone(entry: Done, symbols: Symbols): unknown {
  const { action } = entry;
  if (action.kind === "add-finalizer" || action.kind === "remove-finalizer") {
    return { [action.kind]: "fairlead.dev/credentials" };
  }
  const { namespace, name } = "metadata" in action.secret ? action.secret.metadata : action.secret;
  const target = `${namespace ?? ""}/${name}`;
  if (!("written" in entry)) return { [action.kind]: target };
  const { written } = entry;
  const { labels, ownerReferences } = written.metadata;
  return {
    [action.kind]: target,
    type: written.type,
    ...(written.immutable === true ? { immutable: true } : {}),
    labels,
    ownerReferences,
    data: symbols.describeData(written.data ?? {}),
  };
}

function describeRest(rest: Rest, symbols: Symbols): unknown {
  const { plan, done } = rest;
  const told = JSON.stringify([plan.status, plan.events]);
  if (PRIVATE.test(told)) throw new Error("a status or an event tells a private key");
  const actions = done.map((entry) => describeDone(entry, symbols));
  return symbols.describe({
    actions,
    status: plan.status ?? "unchanged",
    events: plan.events.map(({ type, reason, message }) => `${type} ${reason}: ${message}`),
    ...(plan.nextAtMs === undefined ? {} : { planAgainAt: formatTime(plan.nextAtMs) }),
  });
}

function findHapi(
  objects: readonly KubernetesObject[],
  { kind, metadata }: HostedAPIServer,
): HostedAPIServer | undefined {
  return findObject(objects, { ...metadata, kind }) as HostedAPIServer | undefined;
}

function learnNames(objects: readonly KubernetesObject[], symbols: Symbols, label: string): void {
  for (const object of objects) {
    const mark = readMark(object);
    if (mark === undefined) continue;
    symbols.describeData((object as Secret).data ?? {});
    symbols.learnName(object.metadata.name, label);
  }
}

/** `${server}` and `${proxy-client}` in names stand for those of the Secrets that are wished for. */
function nameWishes(
  cluster: SimulatedCluster,
  hapi: HostedAPIServer,
  nowMs: number,
): readonly KubernetesObject[] {
  const observed = observe(cluster, hapi, nowMs);
  const { acceptance } = observed;
  const namespace = acceptance.accepted ? refOfGateway(acceptance.gateway).namespace : "";
  const wishes = makeWishes(observed, namespace);
  const rename = (object: KubernetesObject): KubernetesObject => {
    const use = USES.find((each) => object.metadata.name === `\${${each}}`);
    const wish = use === undefined ? undefined : wishes[use];
    if (wish?.kind !== "desired") return object;
    return { ...object, metadata: { ...object.metadata, name: wish.secret.name } };
  };
  return cluster.objects.map(rename);
}

function referencesOf(hapi: HostedAPIServer | undefined): ReadonlySet<string> {
  const { gatewayRef, credentials = {} } = hapi?.status ?? {};
  return new Set(
    Object.values(credentials).map((name) => `${gatewayRef?.namespace ?? ""}/${name}`),
  );
}

async function runSubject(given: Given, subject: HostedAPIServer): Promise<unknown> {
  const world = given.world as World;
  const pairs = await makePairs(world.certificates ?? {});
  const symbols = new Symbols(pairs);
  const fill = (objects: readonly KubernetesObject[]): readonly KubernetesObject[] => {
    const filled = JSON.parse(
      JSON.stringify(objects, (_, value: unknown) =>
        typeof value === "string" ? fillIn(value, pairs) : value,
      ),
    ) as KubernetesObject[];
    return filled.map(store);
  };
  let version = 0;
  const base = {
    references: new Set<string>(),
    settings: DEFAULT_SETTINGS,
    nextVersion: () => String((version += 1)),
  };
  let derived: readonly KubernetesObject[] = [];
  let last: HostedAPIServer | undefined;
  let exposed = base.references as ReadonlySet<string>;
  const carryOver = (next: HostedAPIServer): HostedAPIServer =>
    last === undefined
      ? next
      : {
          ...next,
          metadata: { finalizers: last.metadata.finalizers ?? [], ...next.metadata },
          ...(last.status === undefined ? {} : { status: last.status }),
        };
  const steps = world.before ?? [];
  for (const [index, step] of steps.entries()) {
    const objects = fill(step.objects ?? []).reduce(putObject, fill(given.objects));
    const then = findHapi(objects, subject);
    const rest = await bringToRest(
      { ...base, references: exposed, objects: derived.reduce(putObject, objects) },
      carryOver(then ?? subject),
      Date.parse(step.now),
    );
    derived = rest.objects.filter((object) => readMark(object) !== undefined);
    last = findHapi(rest.objects, subject);
    learnNames(derived, symbols, steps.length === 1 ? "hash-before" : `hash-before-${index + 1}`);
    if (world.exposed === true && exposed.size === 0) exposed = referencesOf(last);
  }
  derived = (world.meanwhile ?? []).reduce(tamper, derived);
  const nowMs = Date.parse(world.now ?? DEFAULT_NOW);
  const hapi = carryOver(subject);
  const cluster = {
    ...base,
    references: exposed,
    objects: derived.reduce(putObject, fill(given.objects)),
  };
  const named = { ...cluster, objects: nameWishes(cluster, hapi, nowMs) };
  const rest = await bringToRest(named, hapi, nowMs);
  learnNames(rest.objects, symbols, "hash");
  for (const { metadata } of named.objects) symbols.learnName(metadata.name, "hash");
  return describeRest(rest, symbols);
}

/** The sweep looks at one Secret; anything else is a HostedAPIServer that is planned for. */
export const adapter: CaseAdapter = {
  capability: "credentials",
  kinds: ["ConfigMap", "HostedAPIServer", "InternalGateway", "Namespace", "Secret"],
  worldKeys: ["now", "certificates", "before", "meanwhile", "exposed"],
  run(given, when) {
    const subject = when as KubernetesObject;
    if (subject.kind === "HostedAPIServer") return runSubject(given, subject as HostedAPIServer);
    if (subject.kind !== "Secret") throw new Error(`when.yaml: a ${subject.kind} is no subject.`);
    const keys = given.objects.filter(({ kind }) => kind === "HostedAPIServer").map(keyOf);
    return decideSweep(subject, (key) => keys.includes(key));
  },
};
