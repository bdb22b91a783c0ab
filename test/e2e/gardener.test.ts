import { Agent, request as httpsRequest } from "node:https";
import { equals } from "ramda";
import { classify, deviationReasons, type DeviationId, type Outcome } from "../gardener/deviations";
import { readRecordings } from "../gardener/recordings";
import { admissionReview, effectOf, patchedPod, type AdmissionAnswer } from "../gardener/review";
import { scenarios, stateObjects, stateOf } from "../gardener/scenarios";
import type { Recording } from "../gardener/types";
import { setStage, START_TIMEOUT_MS, type Stage } from "../harness/stage";
import { LARGE_CASES_VERSION } from "./versions";

jest.setTimeout(300_000);

const recordings = readRecordings();
const scenariosByName = new Map(scenarios.map((scenario) => [scenario.name, scenario]));
/** As many reviews at once as an API server may send. */
const concurrency = 8;

function classified(recording: Recording) {
  const scenario = scenariosByName.get(recording.scenario);
  if (scenario === undefined) throw new Error(`no scenario ${recording.scenario}`);
  return classify(stateOf(scenario), recording);
}

/** An outcome without what may differ and means the same. */
function comparable(outcome: Outcome): unknown {
  return outcome.allowed
    ? { allowed: true, effect: outcome.effect, warns: outcome.warns }
    : { allowed: false };
}

function outcomeOf(recording: Recording, answer: AdmissionAnswer): Outcome {
  if (!answer.allowed) return { allowed: false };
  const effect = effectOf(patchedPod(recording.pod, answer));
  return { allowed: true, effect, warns: (answer.warnings ?? []).length > 0 };
}

/** Sends AdmissionReviews to the module as an API server does. */
class Reviewer {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: concurrency });

  constructor(private readonly stage: Stage) {}

  async review({ pod, scenario }: Recording): Promise<AdmissionAnswer> {
    const body = JSON.stringify(admissionReview(pod, scenario));
    const { webhookUrl, caPem } = this.stage.fairlead;
    return new Promise((resolve, reject) => {
      const headers = {
        "content-type": "application/json",
        "content-length": Buffer.byteLength(body),
      };
      const options = { method: "POST", ca: caPem, agent: this.#agent, headers };
      const outgoing = httpsRequest(webhookUrl, options, (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("error", reject);
        response.on("end", () => {
          const text = Buffer.concat(chunks).toString("utf8");
          if (response.statusCode === 200) {
            resolve((JSON.parse(text) as { response: AdmissionAnswer }).response);
          } else reject(new Error(`HTTP ${response.statusCode ?? 0}`));
        });
      });
      outgoing.on("error", reject);
      outgoing.end(body);
    });
  }

  async reviewAll(): Promise<readonly AdmissionAnswer[]> {
    const answers: AdmissionAnswer[] = [];
    const waiting = recordings.entries();
    const work = async (): Promise<void> => {
      for (const [index, recording] of waiting) answers[index] = await this.review(recording);
    };
    await Promise.all(Array.from({ length: concurrency }, work));
    this.#agent.destroy();
    return answers;
  }
}

describe("the built module, asked what Gardener's own handler was asked", () => {
  let stage: Stage;
  let answers: readonly AdmissionAnswer[];

  beforeAll(async () => {
    stage = await setStage({
      version: LARGE_CASES_VERSION,
      objects: stateObjects(),
      fairlead: { processes: ["admission"] },
    });
    answers = await new Reviewer(stage).reviewAll();
  }, START_TIMEOUT_MS);

  afterAll(async () => {
    await stage.stop();
  });

  it("answers at least 1,000 Pods, each by its own request", () => {
    expect(recordings.length).toBeGreaterThanOrEqual(1_000);
    expect(answers).toHaveLength(recordings.length);
    expect(new Set(answers.map(({ uid }) => uid)).size).toBe(recordings.length);
  });

  it("has Gardener's verdict and effect, or the one that a named deviation asks for", () => {
    const different = recordings.flatMap((recording, index): readonly unknown[] => {
      const answer = answers[index];
      if (answer === undefined) return [`${recording.scenario}: no answer`];
      const outcome = comparable(outcomeOf(recording, answer));
      const { deviations, accepted } = classified(recording);
      if (accepted.some((one) => equals(comparable(one), outcome))) return [];
      const { name, generateName } = recording.pod.metadata;
      return [
        { scenario: recording.scenario, pod: name ?? generateName, deviations, outcome, accepted },
      ];
    });
    expect(different).toEqual([]);
  });

  it("deviates from Gardener in the named ways only, each seen", () => {
    const counts = new Map<DeviationId, number>();
    let same = 0;
    for (const recording of recordings) {
      const { deviations } = classified(recording);
      if (deviations.length === 0) same += 1;
      for (const id of deviations) counts.set(id, (counts.get(id) ?? 0) + 1);
    }
    expect(new Set(counts.keys())).toEqual(new Set(Object.keys(deviationReasons)));
    expect(same).toBeGreaterThanOrEqual(1_000);
    const listed = [...counts].map(([id, count]) => `${count} ${id}`).sort();
    process.stderr.write(
      `${recordings.length} Pods: ${same} as Gardener, ${recordings.length - same} by ${listed.join(", ")}\n`,
    );
  });

  it("gives every denial a sentence, and no Pod an annotation", () => {
    const denied = answers.filter(({ allowed }) => !allowed);
    expect(denied.length).toBeGreaterThan(0);
    for (const { status } of denied) {
      expect(status).toMatchObject({
        code: 403,
        message: expect.stringMatching(/^fairlead: ConfigMap gd-\d\d\/.*\.$/) as string,
      });
    }
    const patched = recordings.map((recording, index) => {
      const answer = answers[index];
      return answer === undefined ? recording.pod : patchedPod(recording.pod, answer);
    });
    expect(patched.map(({ metadata }) => metadata.annotations)).toEqual(
      recordings.map(({ pod }) => pod.metadata.annotations),
    );
  });
});
