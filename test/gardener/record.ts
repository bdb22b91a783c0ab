import { parseArgs } from "node:util";

import { generatePods, type GeneratedPod } from "./generate";
import { recordingsFile, writeRecordings } from "./recordings";
import { admissionReview, effectOf, patchedPod, verdictOf, type AdmissionAnswer } from "./review";
import { stateObjects } from "./scenarios";
import type { Pod, Recording } from "./types";

const usage = `Usage:
  tsx test/gardener/record.ts --objects           print the scenarios' objects as a List
  tsx test/gardener/record.ts --url <webhook URL> [--out <file>]
                                                  record the answers of a mutating webhook
`;
/** Every so many Pods that the webhook has changed, one is sent again as it came out. */
const resendEvery = 5;

const isSettled = (pod: Pod): boolean =>
  (pod.spec.hostAliases ?? []).every(
    ({ ip, hostnames }) =>
      /^[0-9a-fA-F.:]+$/.test(ip) &&
      (hostnames ?? []).every((host) => /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/.test(host)),
  );

const ask = async (url: string, { pod, scenario }: GeneratedPod): Promise<[Recording, Pod]> => {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(admissionReview(pod, scenario)),
  });
  if (!response.ok) throw new Error(`${url} answered ${response.status} for a Pod of ${scenario}`);
  const { response: answer } = (await response.json()) as { response: AdmissionAnswer };
  const after = patchedPod(pod, answer);
  return [{ scenario, pod, verdict: verdictOf(answer), effect: effectOf(after) }, after];
};

const again = (pod: Pod): Pod => {
  const { name, generateName } = pod.metadata;
  return {
    ...pod,
    metadata: {
      ...pod.metadata,
      ...(name === undefined ? {} : { name: `${name}-again` }),
      ...(generateName === undefined ? {} : { generateName: `${generateName}again-` }),
    },
  };
};

const recordAll = async (url: string): Promise<readonly Recording[]> => {
  const recordings: Recording[] = [];
  let changedCount = 0;
  for (const generated of generatePods()) {
    const [recording, after] = await ask(url, generated);
    recordings.push(recording);
    const changed = JSON.stringify(after) !== JSON.stringify(generated.pod);
    if (!changed || !isSettled(after)) continue;
    changedCount += 1;
    if (changedCount % resendEvery !== 0) continue;
    recordings.push((await ask(url, { scenario: generated.scenario, pod: again(after) }))[0]);
  }
  return recordings;
};

const main = async (): Promise<void> => {
  const { values } = parseArgs({
    options: {
      url: { type: "string" },
      out: { type: "string", default: recordingsFile },
      objects: { type: "boolean", default: false },
    },
  });
  if (values.objects) {
    process.stdout.write(
      `${JSON.stringify({ apiVersion: "v1", kind: "List", items: stateObjects() })}\n`,
    );
    return;
  }
  if (values.url === undefined) {
    process.stderr.write(usage);
    process.exitCode = 2;
    return;
  }
  const recordings = await recordAll(values.url);
  writeRecordings(values.out, recordings);
  process.stdout.write(`${recordings.length} recordings in ${values.out}\n`);
};

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});
