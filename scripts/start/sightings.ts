import type { KubernetesObject } from "../../lib/api";
import { openCache, silentLogger, systemClock, type Collection } from "../../lib/cluster";
import { until, type Stage } from "./stage";

/** An object as a watch brought it, and when, by `performance.now()`. */
export interface Sighting<T> {
  readonly object: T;
  readonly atMs: number;
}

/** Everything that a watch has brought, in order. */
export interface Sightings<T> {
  readonly all: readonly Sighting<T>[];
  /**
   * The first object that is as it should be, also one that was seen already.
   * @param what As for `until`: a sentence.
   * @throws {StoryError} when there is none in time.
   */
  first(what: string, isIt: (object: T) => boolean): Promise<Sighting<T>>;
  stop(): void;
}

/** Opens a watch, and answers once it has what is there now: times between two writes are then what users see. */
export async function watchFor<T extends KubernetesObject>(
  stage: Pick<Stage, "client" | "signal">,
  collection: Collection,
): Promise<Sightings<T>> {
  const all: Sighting<T>[] = [];
  const { client } = stage;
  const cache = openCache<T>({ client, clock: systemClock, log: silentLogger }, collection);
  cache.onChange(({ kind, object }) => {
    if (kind !== "deleted") all.push({ object, atMs: performance.now() });
  });
  await cache.synced;
  return {
    all,
    async first(what, isIt) {
      return until(stage, what, () => all.find(({ object }) => isIt(object)));
    },
    stop: () => {
      cache.stop();
    },
  };
}
