import type { KubernetesObject } from "../../lib/api";
import type { Cache, CacheOptions, Clock, KubernetesClient, Logger } from "../../lib/cluster";
import { effectiveMinor, formatMinor, type VersionInfo } from "../../lib/domain/kubernetes-version";
import { observeVersions, VERSION_UNKNOWN, type VersionState } from "./version";
import { within } from "./within";

/** What asks API servers for their version. */
export type VersionReader = Pick<KubernetesClient, "version" | "versionAt">;

/** Where an API server listens. */
export interface ServerAddress {
  readonly address: string;
  readonly port: number;
}

/** The part of a discovery.k8s.io/v1 EndpointSlice that tells where API servers listen. */
export interface EndpointSlice extends KubernetesObject {
  readonly endpoints?: readonly { readonly addresses: readonly string[] }[] | null;
  readonly ports?: readonly { readonly name?: string; readonly port?: number }[] | null;
}

/** The EndpointSlices that the API servers keep of themselves. */
export const apiServerEndpoints: CacheOptions<EndpointSlice> = {
  apiVersion: "discovery.k8s.io/v1",
  kind: "EndpointSlice",
  namespace: "default",
  labelSelector: "kubernetes.io/service-name=kubernetes",
};

/** How the version is followed. */
export interface VersionSettings {
  /** How long reads must agree before the version goes up. */
  readonly settleMs: number;
  /** How often the version is read while it is not at rest; at rest, whether there is a reason to read. */
  readonly intervalMs: number;
  /** How often it is read at rest: all servers agree, and nothing hints at another one. */
  readonly restMs: number;
}

/** What a VersionSource needs. */
export interface VersionSourceOptions {
  readonly reader: VersionReader;
  /** Where the API servers listen themselves; waited for, but not for long. */
  readonly addresses: () => Promise<readonly ServerAddress[]>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly settings: VersionSettings;
  /**
   * Whether something since then (milliseconds since the epoch) hints that an API server has come or gone, or that
   * somebody has to know whether one answers.
   */
  readonly isUneasySince: (sinceMs: number) => boolean;
  /** From 0 to 1, for jitter; Math.random unless given. */
  readonly random?: () => number;
}

/**
 * Connections a look. One after the other, since a balancer that goes round would lead several at once, beside another
 * client's, to the same server; more at first, since the first look counts at once.
 */
const READS = 3;
const FIRST_READS = 8;
/** Nobody answers: more connections would only make the look longer. */
const MAX_FAILED_READS = 2;
/** So that two processes do not ask in step for ever. */
const JITTER = 0.2;
const FIRST_RETRY_MS = 1_000;
/** More API servers than any cluster has; a bound all the same. */
const MAX_ADDRESSES = 16;
/** Without the addresses a read is still worth something. */
const ADDRESSES_LIMIT_MS = 5_000;

/** The addresses in EndpointSlices; even one alone may be another server than the one that the kubeconfig leads to. */
export function serverAddresses(slices: readonly EndpointSlice[]): readonly ServerAddress[] {
  const found = slices.flatMap(({ endpoints, ports }) => {
    const port = ports?.find(({ name }) => name === "https")?.port ?? ports?.[0]?.port;
    if (port === undefined) return [];
    return (endpoints ?? []).flatMap(({ addresses }) =>
      addresses.map((address) => ({ address, port })),
    );
  });
  return found.slice(0, MAX_ADDRESSES);
}

/** The addresses of the API servers, out of a cache of `apiServerEndpoints` once it is filled. */
export function addressesFrom(
  cache: Cache<EndpointSlice>,
): () => Promise<readonly ServerAddress[]> {
  return async () => {
    await cache.synced;
    return serverAddresses(cache.list());
  };
}

/**
 * Reads the version of the management cluster now and then, each time on a new connection and from each API server's
 * own address where that can be reached, and keeps the minor that counts.
 */
export class VersionSource {
  #state: VersionState = VERSION_UNKNOWN;
  #cancel: () => void = () => undefined;
  #isStopped = false;
  #failures = 0;
  /** When the last look was that all agreed in; undefined where they did not. */
  #agreedAtMs: number | undefined;
  #reading: Promise<void> | undefined;
  readonly #listeners: (() => void)[] = [];
  #markReady: () => void = () => undefined;
  /** Resolves when a version was read; pending for as long as no API server answers. */
  readonly ready: Promise<void>;

  /** @param options What to read with, and how often. */
  constructor(readonly options: VersionSourceOptions) {
    this.ready = new Promise((resolve) => {
      this.#markReady = resolve;
    });
  }

  /** The minor that counts, 34 for 1.34; undefined until it was read. */
  get minor(): number | undefined {
    return this.#state.effective;
  }

  /** Calls back whenever the minor that counts has changed. */
  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  /** Starts to read, and goes on until `stop`. */
  start(): void {
    void this.refresh();
  }

  /** Reads now, besides the regular reads: an API server has just refused a value, say. Never rejects. */
  refresh(): Promise<void> {
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined;
      this.#schedule();
    });
    return this.#reading;
  }

  /** Ends the regular reads. */
  stop(): void {
    this.#isStopped = true;
    this.#cancel();
  }

  #schedule(): void {
    this.#cancel();
    if (this.#isStopped) return;
    const { settings, random = Math.random } = this.options;
    const intervalMs = settings.intervalMs * (1 + JITTER * (2 * random() - 1));
    // Until there is a version, nothing can be decided: no need to wait a whole interval.
    const retryMs = Math.min(intervalMs, FIRST_RETRY_MS * 2 ** Math.min(this.#failures, 10));
    this.#cancel = this.options.clock.after(this.minor === undefined ? retryMs : intervalMs, () => {
      if (this.#isAtRest()) this.#schedule();
      else void this.refresh();
    });
  }

  #isAtRest(): boolean {
    const { clock, settings, isUneasySince } = this.options;
    const sinceMs = this.#agreedAtMs;
    if (sinceMs === undefined || clock.nowMs() - sinceMs >= settings.restMs) return false;
    return !isUneasySince(sinceMs);
  }

  async #read(): Promise<void> {
    const { clock, settings, log } = this.options;
    const askedMs = clock.nowMs();
    const versions = await this.#ask();
    const before = this.#state.effective;
    this.#state = observeVersions(this.#state, { versions, atMs: clock.nowMs() }, settings);
    const after = this.#state.effective;
    const agree =
      versions.length > 0 && versions.every((version) => effectiveMinor(version) === after);
    this.#agreedAtMs = agree ? askedMs : undefined;
    this.#failures = versions.length === 0 ? this.#failures + 1 : 0;
    log.debug({ answered: versions.length, minor: after }, "version read");
    if (after === before || after === undefined) return;
    const from = before === undefined ? undefined : formatMinor(before);
    log.info({ from, to: formatMinor(after) }, "the management cluster's version counts as");
    this.#markReady();
    for (const listener of this.#listeners) listener();
  }

  async #ask(): Promise<readonly VersionInfo[]> {
    const { reader, addresses, clock } = this.options;
    const known = (await within(addresses(), { clock, limitMs: ADDRESSES_LIMIT_MS })) ?? [];
    const direct = Promise.allSettled<VersionInfo>(
      known.map(({ address, port }) => reader.versionAt(address, port)),
    );
    const versions: VersionInfo[] = [];
    const count = this.minor === undefined ? FIRST_READS : READS;
    for (let failed = 0, read = 0; read < count && failed < MAX_FAILED_READS; read += 1) {
      try {
        versions.push(await reader.version({ fresh: true }));
      } catch {
        // Nothing was learned; whether anything was is what the caller looks at.
        failed += 1;
      }
    }
    const answers = await direct;
    return [
      ...versions,
      ...answers.flatMap((answer) => (answer.status === "fulfilled" ? [answer.value] : [])),
    ];
  }
}
