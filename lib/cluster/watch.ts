import { KubeConfig, Watch } from "@kubernetes/client-node";
import type { Clock } from "./clock";
import { METADATA_ONLY } from "./client";
import { ApiError, WatchBrokenError } from "./errors";

/** Until the response's head: a watch answers at once or not at all. */
const CONNECT_TIMEOUT_MS = 30_000;
/** kube-apiserver sends a bookmark a minute; two and a half without any mean that nobody is there. */
const BOOKMARK_LIMIT_MS = 150_000;
/** A watch that never had an event may never get a bookmark; it is renewed now and then all the same. */
export const SILENCE_LIMIT_MS = 3_600_000;
/** A server that accepts and hangs up at once is treated as one that refuses. */
const SHORTEST_WATCH_MS = 1_000;

type WatchCallback = Parameters<Watch["watch"]>[2];
type WatchDone = Parameters<Watch["watch"]>[3];
type QueryParams = Parameters<Watch["watch"]>[1];

/** What a watch asks for and how what it brings is cut to size. */
export interface WatchOptions {
  readonly metadataOnly: boolean;
  readonly clock: Clock;
  readonly project: (object: unknown) => unknown;
  /** Told of every sign of life, with how long the watch may be silent from then on. */
  readonly onHeard?: (limitMs: number) => void;
}

/** client-node tells the status alone; which right is missing is told here. */
function explain(error: unknown, path: string): unknown {
  const { statusCode: status } = error as { readonly statusCode?: number };
  if (status !== 403) return error;
  return new ApiError(`the right to watch ${path} is missing`, { status, reason: "Forbidden" });
}

class WatchConfig extends KubeConfig {
  metadataOnly = false;

  override async applyToFetchOptions(
    options: Parameters<KubeConfig["applyToFetchOptions"]>[0],
  ): ReturnType<KubeConfig["applyToFetchOptions"]> {
    const init = await super.applyToFetchOptions({ ...options, timeout: CONNECT_TIMEOUT_MS });
    const headers = init.headers as { set(name: string, value: string): void };
    headers.set("user-agent", "fairlead");
    if (this.metadataOnly) headers.set("accept", METADATA_ONLY);
    return init;
  }
}

function watchConfig(config: KubeConfig, metadataOnly: boolean): WatchConfig {
  const copy = new WatchConfig();
  copy.loadFromOptions({
    clusters: config.getClusters(),
    users: config.getUsers(),
    contexts: config.getContexts(),
    currentContext: config.getCurrentContext(),
  });
  copy.metadataOnly = metadataOnly;
  return copy;
}

/**
 * client-node's Watch, which notices when the server is gone: it asks for bookmarks and gives up a watch that has
 * been silent for too long, so that the informer starts another one.
 */
export class FreshWatch extends Watch {
  /** @param options What to ask for, and the clock to judge silence by. */
  constructor(
    config: KubeConfig,
    readonly options: WatchOptions,
  ) {
    super(watchConfig(config, options.metadataOnly));
  }

  // eslint-disable-next-line max-params -- the signature is client-node's
  override async watch(
    path: string,
    queryParams: QueryParams,
    callback: WatchCallback,
    done: WatchDone,
  ): Promise<AbortController> {
    const { clock, project, onHeard } = this.options;
    const openedMs = clock.nowMs();
    let limitMs = SILENCE_LIMIT_MS;
    let heardMs = openedMs;
    let cancel = (): void => undefined;
    const state = { isOver: false };

    const finish = (error: unknown): void => {
      if (state.isOver) return;
      state.isOver = true;
      cancel();
      const short = clock.nowMs() - openedMs < SHORTEST_WATCH_MS;
      if (error !== null && error !== undefined) done(explain(error, path));
      else done(short ? new WatchBrokenError("the watch was closed at once") : null);
    };
    const controller = await super.watch(
      path,
      { ...queryParams, allowWatchBookmarks: true },
      (phase: string, object: unknown, raw?: unknown) => {
        heardMs = clock.nowMs();
        if (phase === "BOOKMARK") limitMs = BOOKMARK_LIMIT_MS;
        onHeard?.(limitMs);
        const whole = phase === "BOOKMARK" || phase === "ERROR";
        callback(phase, whole ? object : project(object), raw);
      },
      finish,
    );
    // It was answered: `finish` is called before this where it was not.
    if (!state.isOver) onHeard?.(limitMs);
    const listen = (): void => {
      if (state.isOver) return;
      const silentMs = clock.nowMs() - heardMs;
      if (silentMs >= limitMs) {
        finish(new WatchBrokenError(`nothing was heard for ${Math.round(silentMs / 1000)} s`));
        controller.abort();
        return;
      }
      cancel = clock.after(Math.min(BOOKMARK_LIMIT_MS, limitMs - silentMs), listen);
    };
    listen();
    return controller;
  }
}
