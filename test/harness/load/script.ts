import type { Request } from "./connection";
import type { Mix } from "./report";

/** A request and what it must come to. */
export interface Step {
  readonly request: Request;
  readonly status: number;
  /** What is wrong with the answer's object; undefined when nothing is. */
  readonly check?: (object: ConfigMap) => string | undefined;
}

/** What is looked at of answers. */
export interface ConfigMap {
  readonly kind: string;
  readonly metadata: { readonly name?: string; readonly uid?: string };
  readonly data?: Readonly<Record<string, string>>;
}

/** Requests that belong together: each is given the answer of the one before. */
export type Script = Generator<Step, void, ConfigMap>;

/** What the requests are about. */
export interface Subject {
  readonly namespace: string;
  /** Starts the names of its objects, and is its own. */
  readonly prefix: string;
}

const DEFAULT_MIX: Required<Mix> = { list: 2, get: 7, write: 1 };
const SHARED_DATA = "x".repeat(2_000);

const collection = ({ namespace }: Subject) => `/api/v1/namespaces/${namespace}/configmaps`;
const sharedName = ({ prefix }: Subject) => `${prefix}-shared`;

function configMap(name: string, value: string, metadata: object = {}): object {
  return { apiVersion: "v1", kind: "ConfigMap", metadata: { name, ...metadata }, data: { value } };
}

function hasValue(value: string) {
  return ({ data }: ConfigMap) =>
    data?.value === value ? undefined : `the object does not have what was written`;
}

/** Makes the object that `get` reads. */
export function createShared(subject: Subject): Step {
  const body = configMap(sharedName(subject), SHARED_DATA);
  return { request: { method: "POST", path: collection(subject), body }, status: 201 };
}

/** Deletes the object that `get` reads. */
export function deleteShared(subject: Subject): Step {
  const path = `${collection(subject)}/${sharedName(subject)}`;
  return { request: { method: "DELETE", path }, status: 200 };
}

/** A watch of all that the load writes, from now on. */
export function watchAll(subject: Subject): Request {
  return { method: "GET", path: `${collection(subject)}?watch=true` };
}

function* list(subject: Subject): Script {
  yield {
    request: { method: "GET", path: `${collection(subject)}?limit=20` },
    status: 200,
    check: ({ kind }) => (kind === "ConfigMapList" ? undefined : `the answer is a ${kind}`),
  };
}

function* get(subject: Subject): Script {
  const path = `${collection(subject)}/${sharedName(subject)}`;
  yield { request: { method: "GET", path }, status: 200, check: hasValue(SHARED_DATA) };
}

/**
 * A unique object's life. Had a request come to an API server twice, the second would be told that the name exists, that
 * the object was changed or is gone; had it come to none, the next read would tell.
 */
function* write(subject: Subject, name: string): Script {
  const path = `${collection(subject)}/${name}`;
  const read = (value: string): Step => ({
    request: { method: "GET", path },
    status: 200,
    check: hasValue(value),
  });
  const created = yield {
    request: { method: "POST", path: collection(subject), body: configMap(name, "first") },
    status: 201,
    check: hasValue("first"),
  };
  yield read("first");
  const { metadata } = created;
  yield {
    request: { method: "PUT", path, body: configMap(name, "second", metadata) },
    status: 200,
    check: hasValue("second"),
  };
  yield read("second");
  yield { request: { method: "DELETE", path }, status: 200 };
  yield { request: { method: "GET", path }, status: 404 };
}

/** Scripts for one stream, without end; `streamName` is its own. */
export function* scripts(subject: Subject, mix: Mix, streamName: string): Generator<Script, never> {
  const shares = Object.keys(mix).length === 0 ? DEFAULT_MIX : mix;
  const round = (Object.keys(DEFAULT_MIX) as (keyof Mix)[]).flatMap((kind) =>
    new Array<keyof Mix>(shares[kind] ?? 0).fill(kind),
  );
  if (round.length === 0) throw new RangeError("a mix has a share of something");
  for (let count = 0; ; count += 1) {
    const kind = round[(count * stride(round.length)) % round.length];
    if (kind === "list") yield list(subject);
    else if (kind === "get") yield get(subject);
    else yield write(subject, `${subject.prefix}-${streamName}-${count}`);
  }
}

/** A step through a round that meets every place of it, in an order that mixes them. */
function stride(length: number): number {
  const hasCommonDivisor = (a: number, b: number): boolean =>
    b === 0 ? a > 1 : hasCommonDivisor(b, a % b);
  let candidate = Math.max(1, Math.floor(length * 0.618));
  while (hasCommonDivisor(length, candidate)) candidate += 1;
  return candidate;
}
