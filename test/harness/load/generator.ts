import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { openConnection, type Connection, type Outcome } from "./connection";
import type { ConnectionOptions, FailureSample, LoadOptions, LoadReport, Progress } from "./report";
import {
  createShared,
  deleteShared,
  scripts,
  watchAll,
  type ConfigMap,
  type Script,
  type Step,
  type Subject,
} from "./script";
import { Tally } from "./tally";

const DEFAULT_TIMEOUT_MS = 30_000;
/** A client that has failed does not try again at once. */
const FAILURE_PAUSE_MS = 100;
/** As Go's http2 client: then it gives up. */
const MAX_REFUSALS = 6;
const POLL_MS = 20;

/** The load could not begin. */
class StartError extends Error {
  override readonly name = "StartError";
}

/** The place of one connection: a new one takes it when the old one ends, or is told to go away. */
class Lane {
  readonly #all = new Set<Connection>();
  #current: Connection | undefined;
  #opening: Promise<Connection> | undefined;

  constructor(
    private readonly options: LoadOptions,
    private readonly index: number,
    private readonly tally: Tally,
  ) {}

  /** @throws when none can be opened; all that wait for it fail together. */
  async connection(): Promise<Connection> {
    if (this.#current?.isUsable === true) return this.#current;
    this.#opening ??= this.#open().finally(() => {
      this.#opening = undefined;
    });
    return this.#opening;
  }

  openCount(): number {
    for (const connection of this.#all) if (!connection.isOpen) this.#all.delete(connection);
    return this.#all.size;
  }

  end(): void {
    for (const connection of this.#all) connection.end();
  }

  async #open(): Promise<Connection> {
    this.#current = await openConnection(this.options, this.index, this.tally);
    this.#all.add(this.#current);
    return this.#current;
  }
}

/** Makes load until it is stopped. */
export class LoadGenerator {
  readonly #tally = new Tally();
  readonly #lanes: readonly Lane[];
  readonly #subject: Subject;
  readonly #stopping = new AbortController();
  readonly #work: Promise<void>[] = [];
  #openWatches = 0;

  constructor(private readonly options: LoadOptions) {
    const { connections, namespace = "default" } = options;
    this.#lanes = connections.map((_, index) => new Lane(options, index, this.#tally));
    this.#subject = { namespace, prefix: `load-${randomBytes(4).toString("hex")}` };
  }

  /**
   * Opens all connections and watches, and begins.
   * @throws {StartError} when one of them can't be opened.
   */
  async start(): Promise<void> {
    const [first] = await Promise.all(
      this.#lanes.map(async (lane) => {
        try {
          await lane.connection();
          return lane;
        } catch (error) {
          throw new StartError(`no connection: ${messageOf(error)}`, { cause: error });
        }
      }),
    );
    if (first === undefined) throw new StartError("there is nothing to connect");
    const failure = await this.#attempt(first, createShared(this.#subject));
    if (typeof failure === "string") throw new StartError(failure);
    this.options.connections.forEach((connection, index) => {
      this.#begin(connection, index);
    });
    const wanted = this.options.connections.reduce((sum, { watches = 0 }) => sum + watches, 0);
    const limitMs = Date.now() + this.#timeoutMs;
    while (this.#openWatches < wanted) {
      if (Date.now() > limitMs) throw new StartError("the watches were not answered");
      await sleep(POLL_MS);
    }
  }

  progress(): Progress {
    const openConnections = this.#lanes.reduce((sum, lane) => sum + lane.openCount(), 0);
    return this.#tally.progress({ openConnections, openWatches: this.#openWatches });
  }

  /** Lets requests end that are under way, and closes watches and connections. */
  async stop(): Promise<LoadReport> {
    this.#stopping.abort();
    await Promise.all(this.#work);
    const report = this.#tally.report();
    // What is left over of a failed attempt harms nobody.
    const [lane] = this.#lanes;
    if (lane !== undefined) await this.#attempt(lane, deleteShared(this.#subject));
    for (const one of this.#lanes) one.end();
    return report;
  }

  get #timeoutMs(): number {
    return this.options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  }

  #begin(connection: ConnectionOptions, index: number): void {
    const lane = this.#lanes[index];
    if (lane === undefined) return;
    const { streams = 1, watches = 0, pauseMs = 0 } = connection;
    for (let stream = 0; stream < streams; stream += 1) {
      this.#work.push(this.#runStream(lane, `${index}-${stream}`, pauseMs));
    }
    for (let watch = 0; watch < watches; watch += 1) this.#work.push(this.#runWatch(lane));
  }

  async #runStream(lane: Lane, name: string, pauseMs: number): Promise<void> {
    for (const script of scripts(this.#subject, this.options.mix ?? {}, name)) {
      if (this.#stopping.signal.aborted) return;
      await this.#runScript(lane, script, pauseMs);
    }
  }

  async #runScript(lane: Lane, script: Script, pauseMs: number): Promise<void> {
    let next = script.next();
    while (next.done !== true) {
      const answer = await this.#step(lane, next.value);
      if (answer === undefined) {
        // What follows depends on it.
        await sleep(FAILURE_PAUSE_MS);
        return;
      }
      if (pauseMs > 0) await sleep(pauseMs);
      next = script.next(answer);
    }
  }

  /** Sends a request and counts what comes of it. */
  async #step(lane: Lane, step: Step): Promise<ConfigMap | undefined> {
    const sample = (what: string): FailureSample => ({
      atMs: Date.now(),
      request: describe(step.request),
      what,
    });
    let last: Connection | undefined;
    for (let attempt = 0; attempt < MAX_REFUSALS; attempt += 1) {
      try {
        last = await lane.connection();
      } catch (error) {
        this.#tally.finished(undefined, sample(messageOf(error)));
        return undefined;
      }
      const { counts } = last;
      const startedMs = performance.now();
      const outcome = await last.exchange({ request: step.request, timeoutMs: this.#timeoutMs });
      if (outcome.kind === "refused") {
        this.#tally.refused(counts);
        continue;
      }
      if (outcome.kind === "answered") {
        this.#tally.answered(outcome.status, performance.now() - startedMs);
      }
      const judgement = judge(step, outcome);
      if (typeof judgement !== "string") {
        this.#tally.finished(counts);
        return judgement;
      }
      this.#tally.finished(counts, { ...sample(judgement), connection: counts.id });
      return undefined;
    }
    const failure = sample(`refused ${MAX_REFUSALS} times`);
    this.#tally.finished(last?.counts, failure);
    return undefined;
  }

  /** Sends a request that is not counted; answers why it failed, if it did. */
  async #attempt(lane: Lane, step: Step): Promise<string | undefined> {
    try {
      const connection = await lane.connection();
      const { request } = step;
      const judgement = judge(
        step,
        await connection.exchange({ request, timeoutMs: this.#timeoutMs }),
      );
      return typeof judgement === "string" ? `${describe(step.request)}: ${judgement}` : undefined;
    } catch (error) {
      return messageOf(error);
    }
  }

  async #runWatch(lane: Lane): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await this.#watchOnce(lane);
      await sleep(FAILURE_PAUSE_MS);
    }
  }

  async #watchOnce(lane: Lane): Promise<void> {
    const { signal } = this.#stopping;
    const request = watchAll(this.#subject);
    const sample = (what: string): FailureSample => ({
      atMs: Date.now(),
      request: describe(request),
      what,
    });
    let connection: Connection;
    try {
      connection = await lane.connection();
    } catch (error) {
      this.#tally.watchEnded(undefined, "failed", sample(messageOf(error)));
      return;
    }
    const seen = { isStarted: false, rest: "" };
    const outcome = await connection.exchange({
      request,
      signal,
      onStatus: (status) => {
        if (status !== 200) return;
        seen.isStarted = true;
        this.#openWatches += 1;
        this.#tally.watchStarted();
      },
      onData: (text) => {
        seen.rest = (seen.rest + text).split("\n").pop() ?? "";
      },
    });
    const { isStarted, rest } = seen;
    if (isStarted) this.#openWatches -= 1;
    if (signal.aborted) return;
    const { counts, isGoingAway } = connection;
    if (outcome.kind === "refused") this.#tally.refused(counts);
    else if (isStarted && outcome.kind === "answered" && rest === "") {
      this.#tally.watchEnded(counts, "eof");
    } else if (isStarted && isGoingAway) this.#tally.watchEnded(counts, "goaway");
    else {
      const what = outcome.kind === "broken" ? outcome.what : `status ${outcome.status}, cut short`;
      this.#tally.watchEnded(counts, "failed", { ...sample(what), connection: counts.id });
    }
  }
}

function describe({ method, path }: Step["request"]): string {
  return `${method} ${path}`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The object of an answer as it should be, or what is wrong. */
function judge(step: Step, outcome: Outcome): ConfigMap | string {
  if (outcome.kind === "refused") return "refused";
  if (outcome.kind === "broken") return outcome.what;
  if (outcome.status !== step.status) return `status ${outcome.status}, not ${step.status}`;
  try {
    const object = JSON.parse(outcome.body) as ConfigMap;
    return step.check?.(object) ?? object;
  } catch {
    return "the body is no whole object";
  }
}
