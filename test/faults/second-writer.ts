import { setTimeout as sleep } from "node:timers/promises";
import { Refusal, refOf, type AnyObject, type Kind } from "../harness/api";
import { encode } from "../harness/objects";
import { GATEWAYS, type FaultStage } from "./stage";

// Somebody else who writes what fairlead writes, and does not care.

/** What a second writer did. */
export interface SecondWriter {
  /** Ends, and tells how many writes it had. */
  stop(): Promise<number>;
}

const kinds: readonly Kind[] = [
  "Gateway",
  "VirtualService",
  "DestinationRule",
  "EnvoyFilter",
  "Secret",
  "Service",
];

type Deed = (stage: FaultStage, object: AnyObject) => Promise<unknown>;

const label: Deed = async ({ api }, object) =>
  api.patch(refOf(object), { metadata: { labels: { "example.com/touched": String(Date.now()) } } });

const remove: Deed = async ({ api }, object) => api.remove(refOf(object));

const spoil: Deed = async ({ api }, object) =>
  object.kind === "Secret"
    ? api.patch(refOf(object), { data: encode({ cert: "spoilt" }) })
    : api.patch(refOf(object), { spec: { workloadSelector: null, ports: null, host: "spoilt" } });

// Not: to take fairlead's mark off, which makes an object somebody else's.
const deeds: readonly Deed[] = [label, remove, spoil];

/** Refused, or not there any more: the next one. */
function ignoreRefusal(error: unknown): void {
  if (!(error instanceof Refusal)) throw error;
}

async function ownObjects({ api }: FaultStage, kind: Kind): Promise<readonly AnyObject[]> {
  try {
    const own = await api.list(kind, GATEWAYS, "app.kubernetes.io/managed-by=fairlead");
    return own.map((object) => ({ ...object, kind }));
  } catch (error) {
    ignoreRefusal(error);
    return [];
  }
}

async function touchServers({ api }: FaultStage): Promise<void> {
  for (const { metadata } of await api.list("HostedAPIServer")) {
    const ref = { kind: "HostedAPIServer", namespace: metadata.namespace ?? "", name: "main" };
    const annotations = { "example.com/touched": String(Date.now()) };
    await api.patch(ref as Parameters<typeof api.patch>[0], { metadata: { annotations } });
  }
}

const OBJECT =
  /^\/apis?\/(?:[^/]+\/){1,2}namespaces\/(?<namespace>[^/]+)\/(?<plural>[^/]+)\/(?<name>[^/?]+)(?:\?|$)/;

/** Every other time that fairlead replaces an object which it has read, somebody is faster: that is a conflict. */
function overtake(stage: FaultStage): void {
  if (stage.httpProxy === undefined) throw new Error("nothing stands before the API server");
  let replaced = 0;
  stage.httpProxy.intercept({
    async before({ method, path }) {
      const { namespace, plural, name } = OBJECT.exec(path)?.groups ?? {};
      const kind = kinds.find((one) => `${one.toLowerCase()}s` === plural);
      if (method === "PUT" && kind !== undefined) {
        replaced += 1;
        const object = { kind, metadata: { namespace, name } } as AnyObject;
        if (replaced % 2 === 1) await label(stage, object).catch(ignoreRefusal);
      }
      return { kind: "pass" };
    },
  });
}

/** Starts to write, without a pause to speak of, into fairlead's own objects and into HostedAPIServers. */
export function startSecondWriter(stage: FaultStage, random: () => number): SecondWriter {
  const over = new AbortController();
  let writes = 0;
  overtake(stage);
  const foreign = (object: AnyObject): boolean => stage.foreignUids.has(object.metadata.uid ?? "");
  const meddle = async (): Promise<void> => {
    const kind = kinds[Math.floor(random() * kinds.length)] ?? "Secret";
    const own = (await ownObjects(stage, kind)).filter((object) => !foreign(object));
    const object = own[Math.floor(random() * own.length)];
    const deed = deeds[Math.floor(random() * deeds.length)];
    if (object !== undefined) await deed?.(stage, object).catch(ignoreRefusal);
    writes += 1;
  };
  const touching = (async () => {
    while (!over.signal.aborted) await touchServers(stage).catch(ignoreRefusal);
  })();
  const meddling = (async () => {
    while (!over.signal.aborted) {
      await meddle();
      await sleep(20 * random());
    }
  })();
  return {
    async stop() {
      over.abort();
      await Promise.all([touching, meddling]);
      stage.httpProxy?.intercept({});
      return writes;
    },
  };
}
