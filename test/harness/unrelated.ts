import { randomBytes } from "node:crypto";
import type { AnyObject, Api } from "./api";
import { namespace } from "./objects";
import { inParallel } from "./parallel";

/** The namespace of Secrets that are none of fairlead's business. */
export const unrelatedNamespace = "unrelated";
const concurrency = 8;

/** A Secret of 10 KiB. */
export function unrelatedSecret(index: number): AnyObject {
  return {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: `secret-${index}`, namespace: unrelatedNamespace },
    type: "Opaque",
    data: { value: randomBytes(10 * 1024).toString("base64") },
  };
}

/** Creates many of them. `onProgress` is told how many there are. */
export async function createUnrelatedSecrets(
  api: Api,
  count: number,
  onProgress: (done: number) => void = () => undefined,
): Promise<void> {
  await api.create(namespace(unrelatedNamespace));
  let done = 0;
  await inParallel(Array(count).keys(), concurrency, async (index) => {
    await api.create(unrelatedSecret(index));
    done += 1;
    onProgress(done);
  });
}

/** Changes one of them. */
export async function changeUnrelatedSecret(api: Api, index: number): Promise<void> {
  const { data } = unrelatedSecret(index);
  await api.patch(
    { kind: "Secret", namespace: unrelatedNamespace, name: `secret-${index}` },
    { data },
  );
}
