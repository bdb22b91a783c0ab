import { Backoff } from "./backoff";
import type { KubernetesClient } from "./client";
import type { Clock } from "./clock";
import { describeError, isForbidden } from "./errors";
import type { Logger } from "./logger";
import type { Metrics } from "./metrics";
import type { KubernetesObject } from "../api";

const RETRY = { initialDelayMs: 200, maxDelayMs: 3_000 };

/** What a start-up step needs. */
export interface StartContext {
  readonly client: KubernetesClient;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics?: Metrics | undefined;
}

/** Repeats a start-up step until it works: a process that starts before its API server waits for it. */
export async function persist<T>(
  { clock, log, metrics }: StartContext,
  step: string,
  run: () => Promise<T>,
): Promise<T> {
  const backoff = new Backoff(RETRY);
  for (;;) {
    try {
      return await run();
    } catch (error) {
      const delayMs = backoff.nextMs();
      metrics?.failed("start", error);
      log.warn(
        { step, error: describeError(error), delayMs },
        "start-up step failed, trying again",
      );
      await new Promise<void>((resolve) => clock.after(delayMs, resolve));
    }
  }
}

/**
 * Waits until Pepr can start: its store's kind and namespace must be there, or it would answer 404 for ever after one
 * failed read.
 * @throws Error with a sentence that says what is missing.
 */
export async function checkPeprStore({ client }: StartContext): Promise<void> {
  const namespace = await client.get<KubernetesObject>({
    apiVersion: "v1",
    kind: "Namespace",
    name: "pepr-system",
  });
  if (namespace === undefined)
    throw new Error("Namespace pepr-system does not exist; deploy fairlead's manifest");
  try {
    const definition = await client.get<KubernetesObject>({
      apiVersion: "apiextensions.k8s.io/v1",
      kind: "CustomResourceDefinition",
      name: "peprstores.pepr.dev",
    });
    if (definition === undefined) {
      throw new Error(
        "CustomResourceDefinition peprstores.pepr.dev does not exist; Pepr's controller installs it",
      );
    }
  } catch (error) {
    // Without the right to look, Pepr finds out by itself.
    if (!isForbidden(error)) throw error;
  }
}
