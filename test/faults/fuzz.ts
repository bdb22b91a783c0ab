import { randomUUID } from "node:crypto";
import { Agent, request } from "node:https";
import * as fc from "fast-check";
import { applyPatch, deepClone, type Operation } from "fast-json-patch";
import { anyBrokenReview, anyReview, type Review } from "./reviews";

/** Where reviews are sent. */
export interface Target {
  readonly port: number;
  readonly path: string;
  readonly serverName: string;
}

/** What the answers came to. */
export interface FuzzCount {
  readonly reviews: number;
  readonly patched: number;
  readonly denied: number;
}

interface Answer {
  readonly status: number;
  readonly text: string;
}

interface ReviewResponse {
  readonly uid?: unknown;
  readonly allowed?: unknown;
  readonly patch?: unknown;
  readonly patchType?: unknown;
  readonly status?: { readonly code?: unknown; readonly message?: unknown };
  readonly warnings?: unknown;
}

/** Whoever has no answer by then hangs: an API server would have given up six times over. */
const HANG_MS = 30_000;
/** What the product may change, as JSON pointers begin. */
const CHANGEABLE = [
  "/spec/hostAliases",
  "/metadata/labels",
  "/metadata/annotations",
  "/spec/trafficDistribution",
];

class Fuzzer {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 4, rejectUnauthorized: false });
  patched = 0;
  denied = 0;
  reviews = 0;

  constructor(private readonly target: Target) {}

  async send(body: string, contentType = "application/json"): Promise<Answer> {
    const { port, path, serverName } = this.target;
    const headers = { "content-type": contentType, "content-length": Buffer.byteLength(body) };
    return new Promise((resolve, reject) => {
      const options = { agent: this.#agent, method: "POST", path, headers, timeout: HANG_MS };
      const asked = request({ host: "127.0.0.1", port, servername: serverName, ...options });
      asked.on("response", (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("error", reject);
        response.on("end", () => {
          const text = Buffer.concat(chunks).toString("utf8");
          resolve({ status: response.statusCode ?? 0, text });
        });
      });
      asked.on("timeout", () => asked.destroy(new Error("no answer")));
      asked.on("error", reject);
      asked.end(body);
    });
  }

  async review(review: Review): Promise<ReviewResponse> {
    const { status, text } = await this.send(JSON.stringify(review));
    this.reviews += 1;
    expect({ status, text: status === 200 ? "" : text }).toEqual({ status: 200, text: "" });
    const answer = JSON.parse(text) as {
      apiVersion?: unknown;
      kind?: unknown;
      response?: ReviewResponse;
    };
    expect(answer).toMatchObject({
      apiVersion: "admission.k8s.io/v1",
      kind: "AdmissionReview",
      response: { uid: review.request.uid, allowed: expect.any(Boolean) as boolean },
    });
    return answer.response ?? {};
  }

  close(): void {
    this.#agent.destroy();
  }
}

function patchOf({ patch, patchType }: ReviewResponse): readonly Operation[] {
  if (patch === undefined) {
    expect(patchType).toBeUndefined();
    return [];
  }
  expect(patchType).toBe("JSONPatch");
  const operations = JSON.parse(
    Buffer.from(patch as string, "base64").toString("utf8"),
  ) as readonly Operation[];
  expect(operations.length).toBeGreaterThan(0);
  return operations;
}

function expectDenial({ status, patch, patchType }: ReviewResponse): void {
  expect([patch, patchType]).toEqual([undefined, undefined]);
  expect(status).toMatchObject({ code: 403, message: expect.stringMatching(/\S{3}/) as string });
}

interface Labelled {
  readonly metadata?: { readonly labels?: Readonly<Record<string, unknown>> };
  readonly spec?: { readonly hostAliases?: readonly unknown[] };
}

const ALLOWED_LABEL = "networking.resources.gardener.cloud/to-";

/** All of what makes a Pod routed, or none of it. */
function expectWhole(before: Labelled, after: Labelled): void {
  const aliasesOf = ({ spec }: Labelled) => JSON.stringify(spec?.hostAliases ?? []);
  if (aliasesOf(before) === aliasesOf(after)) return;
  const labels = Object.keys(after.metadata?.labels ?? {});
  expect(labels.filter((label) => label.startsWith(ALLOWED_LABEL)).length).toBeGreaterThan(0);
}

/** What of an object an answer changes: a patch that can be applied, or nothing. */
function changesOf(response: ReviewResponse, before: object) {
  if (response.allowed !== true) {
    expectDenial(response);
    return { operations: [], after: before };
  }
  const operations = patchOf(response);
  return {
    operations,
    after: applyPatch(deepClone(before) as object, operations, true).newDocument,
  };
}

async function examine(fuzzer: Fuzzer, review: Review): Promise<void> {
  const response = await fuzzer.review(review);
  const before = review.request.object as object;
  const { operations, after } = changesOf(response, before);
  if (response.allowed !== true) fuzzer.denied += 1;
  if (operations.length === 0) return;
  fuzzer.patched += 1;
  const elsewhere = operations.filter(
    ({ path }) => !CHANGEABLE.some((start) => path === start || path.startsWith(`${start}/`)),
  );
  expect(elsewhere).toEqual([]);
  expectWhole(before, after);
  // What is complete needs no more: the webhook may be called again.
  const request = { ...review.request, uid: randomUUID(), object: after };
  const again = await fuzzer.review({ ...review, request });
  expect(patchOf(again)).toEqual([]);
}

const anyGarbage = fc.oneof(
  fc.string({ maxLength: 200 }),
  fc.json(),
  fc.constantFrom("", "{", "null", "[]", '"', "{}", '{"request":null}', '{"request":7}'),
);

/** A review that can't be read may be answered by a status of HTTP's; if it is answered, it is answered well. */
async function examineBroken(fuzzer: Fuzzer, review: Review): Promise<void> {
  const { status } = await fuzzer.send(JSON.stringify(review));
  if (status === 200) changesOf(await fuzzer.review(review), review.request.object as object);
  else expect(status).toBeGreaterThanOrEqual(400);
}

/** Bodies that are no AdmissionReview are answered, and never by a patch. */
async function sendGarbage(fuzzer: Fuzzer, runs: number): Promise<void> {
  await fc.assert(
    fc.asyncProperty(anyBrokenReview, async (review) => examineBroken(fuzzer, review)),
    { numRuns: runs },
  );
  await fc.assert(
    fc.asyncProperty(anyGarbage, async (body) => {
      const { status, text } = await fuzzer.send(body);
      expect({ isAnswered: status >= 200, isPatched: text.includes('"patch"') }).toEqual({
        isAnswered: true,
        isPatched: false,
      });
    }),
    { numRuns: runs },
  );
}

/**
 * Sends AdmissionReviews that were made up. What an API server may send is answered by a well-formed AdmissionReview,
 * with a whole patch or none, and a denial says why; whatever else is sent is answered too.
 */
export async function fuzz(
  target: Target,
  { runs }: { readonly runs: number },
): Promise<FuzzCount> {
  const fuzzer = new Fuzzer(target);
  try {
    await fc.assert(
      fc.asyncProperty(anyReview, async (review) => examine(fuzzer, review)),
      { numRuns: runs },
    );
    await sendGarbage(fuzzer, Math.ceil(runs / 4));
    const { reviews, patched, denied } = fuzzer;
    return { reviews, patched, denied };
  } finally {
    fuzzer.close();
  }
}
