import { isDeepStrictEqual } from "node:util";
import type { Impersonator } from "./impersonator";
import { Refusal, refOf, type AnyObject } from "../api";
import { inParallel } from "../parallel";
import { inArm, withoutArm, type Arm, type Question } from "./places";

/** What came of a request, with what differs by who decides taken out. */
export interface Outcome {
  readonly code: number;
  /** Of a refusal. */
  readonly message?: string;
  readonly object?: AnyObject;
  readonly warnings: readonly string[];
}

/** How an API server begins what others said. */
const prefixes: readonly RegExp[] = [
  /^admission webhook "[^"]*" denied the request: /,
  /^pods "[^"]*" is forbidden: ValidatingAdmissionPolicy '[^']*' with binding '[^']*' denied request: /,
  /^Validation failed for ValidatingAdmissionPolicy '[^']*' with binding '[^']*': /,
];

function bare(sentence: string): string {
  return prefixes.reduce((text, prefix) => text.replace(prefix, ""), sentence);
}

/** What an API server makes up anew each time. */
function lasting(object: AnyObject): AnyObject {
  const {
    uid: _uid,
    creationTimestamp: _created,
    resourceVersion: _version,
    managedFields: _managed,
    deletionTimestamp: _deleted,
    name,
    ...metadata
  } = object.metadata;
  const {
    clusterIP: _ip,
    clusterIPs: _ips,
    ...spec
  } = object.spec as { readonly clusterIP?: string; readonly clusterIPs?: readonly string[] };
  return {
    ...object,
    // A generated name is made of generateName.
    metadata: { ...metadata, name: metadata.generateName ?? name ?? "" },
    spec,
  };
}

/** Asks an API server what would become of objects; nothing is kept. */
export class Interrogation {
  constructor(private readonly callers: Impersonator) {}

  /** @returns What would become of it in that arm. */
  async ask(question: Question, arm: Arm): Promise<Outcome> {
    const { object, update, requester } = inArm(question, arm);
    const api = this.callers.as(requester.username);
    const manager =
      requester.fieldManager === undefined ? "" : `&fieldManager=${requester.fieldManager}`;
    const query = `dryRun=All${manager}`;
    try {
      const { code, body, warnings } = update
        ? await api.replace(await this.#overPrevious(object), query)
        : await api.create(object, query);
      // Where both decide, both warn.
      const kept = [...new Set(warnings.map(bare))].sort();
      return withoutArm({ code, object: lasting(body), warnings: kept });
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      return withoutArm({ code: error.code, message: bare(error.message), warnings: [] });
    }
  }

  async #overPrevious(object: AnyObject): Promise<AnyObject> {
    const { metadata } = await this.callers.as(undefined).get(refOf(object));
    const { resourceVersion = "" } = metadata;
    return { ...object, metadata: { ...object.metadata, resourceVersion } };
  }

  /**
   * Asks all questions in two arms, or in one and somebody else.
   * @param other The second arm, or what ought to come of a question.
   * @returns A sentence for each difference, and what came of the questions, counted.
   */
  async compare(
    questions: readonly Question[],
    arm: Arm,
    other: Arm | ((question: Question, outcome: Outcome) => Outcome | undefined),
  ): Promise<Comparison> {
    const differences: string[] = [];
    const counts = { changed: 0, kept: 0, denied: 0, warned: 0 };
    await inParallel(questions, CONCURRENCY, async (question) => {
      const outcome = await this.ask(question, arm);
      const expected =
        typeof other === "string" ? await this.ask(question, other) : other(question, outcome);
      if (expected === undefined) return;
      counts[kindOf(question, outcome)] += 1;
      if (outcome.warnings.length > 0) counts.warned += 1;
      if (isDeepStrictEqual(outcome, expected)) return;
      differences.push(describe(question, outcome, expected));
    });
    return { differences, counts };
  }
}

const CONCURRENCY = 16;

/** What came of a comparison. */
export interface Comparison {
  readonly differences: readonly string[];
  readonly counts: Readonly<Record<"changed" | "kept" | "denied" | "warned", number>>;
}

/** All that fairlead's admission may change. */
function touched({ metadata, spec }: AnyObject): unknown {
  const { hostAliases, trafficDistribution } = spec ?? {};
  return JSON.stringify([
    Object.entries(metadata.labels ?? {}).sort(),
    Object.entries(metadata.annotations ?? {}).sort(),
    hostAliases,
    trafficDistribution,
  ]);
}

function kindOf({ object }: Question, outcome: Outcome): "changed" | "kept" | "denied" {
  if (outcome.object === undefined) return "denied";
  return touched(object) === touched(outcome.object) ? "kept" : "changed";
}

function describe(question: Question, outcome: Outcome, expected: Outcome): string {
  const say = (value: unknown): string => JSON.stringify(value);
  return `${question.name}: of ${say(question.object)} came ${say(outcome)}, and not ${say(expected)}`;
}
