import { mkdir } from "node:fs/promises";
import type { Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Container, startContainer } from "../container";
import type { Network, PodPlace } from "../network";
import { createRest, type Rest } from "../rest";
import { environmentOf } from "./environment";
import {
  type ContainerSpec,
  MissingSourceError,
  type Pod,
  type PodSources,
  type ProbeSpec,
} from "./pod";
import { keepProbing } from "./probe";
import { containerStatus, podStatus, type ContainerState } from "./status";
import { Tokens } from "./tokens";
import { volumeFiles, writeVolume } from "./volumes";

/** What the image of every container is taken to be. */
export interface Image {
  readonly workingDir: string;
  readonly userId: number;
  /** Where in the image → what is there. */
  readonly files: Readonly<Record<string, string>>;
}

/** What Pods run on. */
export interface PodGround {
  /** The API server, as the kubelet. */
  readonly rest: Rest;
  readonly network: Network;
  /** A connection as from the node. */
  readonly dial: (address: string) => Promise<Socket>;
  /** Files and logs of Pods go below it. */
  readonly directory: string;
  readonly image: Image;
  /** ConfigMaps and Secrets of a namespace, as they were last seen. */
  readonly sources: (namespace: string) => Pick<PodSources, "configMap" | "secret">;
  /** Environment of every container. */
  readonly services: Readonly<Record<string, string>>;
  /** Told of each Pod's address. */
  readonly onAddress: (address: string, nodeName: string) => void;
  /** How often volumes are brought up to date. */
  readonly syncMs: number;
}

const RETRY_MS = 300;
const POLL_MS = 50;
const FIRST_RESTART_MS = 500;
const LONGEST_RESTART_MS = 10_000;
const DEFAULT_GRACE_SECONDS = 30;

/** A Pod whose one container really runs, as a kubelet runs it. */
export class ProcessPod {
  readonly name: string;
  /** Resolves when it has ended and its object is deleted. */
  readonly done: Promise<void>;
  readonly #over = new AbortController();
  readonly #spec: ContainerSpec;
  readonly #folder: string;
  readonly #tokens: Tokens;
  #place: PodPlace | undefined;
  #container: Container | undefined;
  #state: ContainerState = { kind: "waiting", reason: "ContainerCreating" };
  #restarts = 0;
  #ending: Promise<void> | undefined;
  /** What was written into each volume. */
  readonly #written = new Map<string, string>();
  #failure = "";
  #isDirty = false;
  #writing: Promise<void> | undefined;

  /** @param pod As it was scheduled. */
  constructor(
    private readonly pod: Pod,
    private readonly ground: PodGround,
  ) {
    const [container, ...others] = pod.spec.containers;
    if (container === undefined || others.length > 0) {
      throw new Error(`Pod ${pod.metadata.name} is to have one container`);
    }
    this.name = pod.metadata.name;
    this.#spec = container;
    this.#folder = join(ground.directory, this.name);
    this.#tokens = new Tokens(ground.rest, pod);
    this.done = this.#live().catch((error: unknown) => {
      this.#failure = `this kubelet failed: ${String(error)}\n`;
    });
  }

  /** The Deployment's container that it is: its name in the Pod. */
  get containerName(): string {
    return this.#spec.name;
  }
  /** The program's id on this machine; undefined while it does not run. */
  get programId(): number | undefined {
    return this.#container?.programId();
  }
  get restarts(): number {
    return this.#restarts;
  }
  get isReady(): boolean {
    return this.#state.kind === "running" && this.#state.isReady;
  }
  get address(): string {
    return this.#place?.address ?? "";
  }
  /** What its container has written, over all its runs. */
  log(): string {
    return (this.#container?.log() ?? "") + this.#failure;
  }

  /** Sends a signal to the program, as somebody on the node might. */
  kill(signal: NodeJS.Signals): void {
    const id = this.programId;
    if (id !== undefined) process.kill(id, signal);
  }

  /** The Pod is deleted: its container is told to end, and killed when its time is up. */
  terminate(graceMs: number): void {
    if (this.#ending !== undefined) {
      if (graceMs === 0) this.kill("SIGKILL");
      return;
    }
    const container = this.#container;
    this.#ending =
      container === undefined ? Promise.resolve() : this.#endContainer(container, graceMs);
  }

  /** Ends everything at once; the object stays. */
  async abandon(): Promise<void> {
    this.#over.abort();
    this.#ending ??= Promise.resolve();
    await this.#container?.stop();
    await this.done;
  }

  #isOver(): boolean {
    return this.#ending !== undefined || this.#over.signal.aborted;
  }

  async #live(): Promise<void> {
    const { network, onAddress } = this.ground;
    const { hostAliases = [], nodeName = "" } = this.pod.spec;
    const place = await network.addPod({ name: this.name, hostAliases });
    this.#place = place;
    onAddress(place.address, nodeName);
    this.#publish();
    while (!this.#isOver()) {
      const environment = await this.#prepare(place);
      if (environment === undefined || this.#isOver()) break;
      await this.#run(place, environment);
      if (this.#isOver()) break;
      const pauseMs = Math.min(FIRST_RESTART_MS * 2 ** this.#restarts, LONGEST_RESTART_MS);
      this.#restarts += 1;
      await this.#pause(pauseMs);
    }
    await this.#ending;
    this.#set({ kind: "terminated" });
    if (!this.#over.signal.aborted) await this.#deleteObject();
    this.#over.abort();
    await place.remove();
  }

  async #pause(ms: number): Promise<void> {
    const until = Date.now() + ms;
    while (Date.now() < until && !this.#isOver()) await sleep(POLL_MS, undefined, { ref: false });
  }

  /** Waits until all that the container mounts and reads is there. */
  async #prepare(place: PodPlace): Promise<Readonly<Record<string, string>> | undefined> {
    while (!this.#isOver()) {
      try {
        await this.#tokens.refresh();
        await this.#writeVolumes(place);
        return environmentOf({
          pod: this.pod,
          container: this.#spec,
          podIP: place.address,
          sources: this.#sources(),
          services: this.ground.services,
        });
      } catch (error) {
        if (!(error instanceof MissingSourceError)) throw error;
        this.#set({ kind: "waiting", reason: error.message });
      }
      await this.#pause(RETRY_MS);
    }
    return undefined;
  }

  async #run(place: PodPlace, env: Readonly<Record<string, string>>): Promise<void> {
    const container = startContainer(this.#containerRequest(place, env));
    const run = new AbortController();
    this.#container = container;
    const isStarted = this.#spec.startupProbe === undefined;
    this.#set({ kind: "running", isStarted, isReady: false, startedAt: new Date().toISOString() });
    this.#probe(place, container, run.signal);
    void this.#keepVolumes(place, run.signal);
    const code = await container.ended;
    run.abort();
    this.#set({ kind: "waiting", reason: `ended with exit code ${code ?? "unknown"}` });
    await container.stop();
  }

  #containerRequest(place: PodPlace, env: Readonly<Record<string, string>>) {
    const { image } = this.ground;
    const { command, args = [], workingDir, volumeMounts = [], securityContext } = this.#spec;
    const [program = "node", ...fromCommand] = command ?? [];
    if (program !== "node") throw new Error(`the image has no program but node, not ${program}`);
    const volumes = volumeMounts.map(
      ({ name, mountPath }) => [mountPath, join(this.#folder, "volumes", name)] as const,
    );
    return {
      directory: join(this.#folder, "container"),
      args: [...fromCommand, ...args],
      env,
      workingDir: workingDir ?? image.workingDir,
      userId: this.#userId(),
      // The file that is there in the Pod's own mount namespace.
      mounts: { "/etc/hosts": "/etc/hosts", ...image.files, ...Object.fromEntries(volumes) },
      root:
        securityContext?.readOnlyRootFilesystem === true
          ? ("read-only" as const)
          : ("writable" as const),
      within: place.prefix,
    };
  }

  #userId(): number {
    const own = this.#spec.securityContext?.runAsUser;
    return own ?? this.pod.spec.securityContext?.runAsUser ?? this.ground.image.userId;
  }

  #sources(): PodSources {
    const { configMap, secret } = this.ground.sources(this.pod.metadata.namespace);
    return { configMap, secret, token: (audience) => this.#tokens.get(audience) };
  }

  async #writeVolumes(place: PodPlace): Promise<void> {
    const sources = this.#sources();
    const reader = {
      userId: this.#userId(),
      groupId: this.pod.spec.securityContext?.fsGroup,
    };
    for (const volume of this.pod.spec.volumes ?? []) {
      const files = volumeFiles({ pod: this.pod, volume, podIP: place.address, sources });
      const text = JSON.stringify(
        Object.entries(files).map(([path, { content, mode }]) => [
          path,
          mode,
          content.toString("base64"),
        ]),
      );
      if (this.#written.get(volume.name) === text) continue;
      const folder = join(this.#folder, "volumes", volume.name);
      await mkdir(folder, { recursive: true });
      await writeVolume(folder, files, reader);
      this.#written.set(volume.name, text);
    }
  }

  async #keepVolumes(place: PodPlace, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await sleep(this.ground.syncMs, undefined, { ref: false });
      // What is missing now stays as it was, as on a node.
      await this.#tokens.refresh();
      await this.#writeVolumes(place).catch(() => undefined);
    }
  }

  #probe(place: PodPlace, container: Container, signal: AbortSignal): void {
    const { startupProbe, readinessProbe, livenessProbe } = this.#spec;
    const fail = (): void => {
      const seconds = this.pod.spec.terminationGracePeriodSeconds ?? DEFAULT_GRACE_SECONDS;
      void this.#endContainer(container, seconds * 1_000);
    };
    const probe = (spec: ProbeSpec, onVerdict: (isWell: boolean) => void, until: AbortSignal) =>
      void keepProbing({
        spec,
        ask: async (timeoutMs) => this.#ask(place, spec, timeoutMs),
        onVerdict: (verdict) => {
          onVerdict(verdict === "success");
        },
        signal: until,
      });
    const setReady = (isReady: boolean): void => {
      if (this.#state.kind === "running") this.#set({ ...this.#state, isStarted: true, isReady });
    };
    const goOn = (): void => {
      setReady(readinessProbe === undefined);
      if (readinessProbe !== undefined) probe(readinessProbe, setReady, signal);
      if (livenessProbe !== undefined) {
        const onVerdict = (isWell: boolean): void => {
          if (!isWell) fail();
        };
        probe(livenessProbe, onVerdict, signal);
      }
    };
    if (startupProbe === undefined) {
      goOn();
      return;
    }
    const starting = new AbortController();
    const until = AbortSignal.any([signal, starting.signal]);
    const onVerdict = (isWell: boolean): void => {
      starting.abort();
      if (isWell) goOn();
      else fail();
    };
    probe(startupProbe, onVerdict, until);
  }

  async #ask(place: PodPlace, spec: ProbeSpec, timeoutMs: number): Promise<boolean> {
    const { path = "/", port = 0, scheme = "HTTP" } = spec.httpGet ?? {};
    const number =
      typeof port === "number"
        ? port
        : this.#spec.ports?.find(({ name }) => name === port)?.containerPort;
    const rest = createRest({
      url: `${scheme.toLowerCase()}://${place.address}:${number ?? 0}`,
      dial: this.ground.dial,
      verification: "none",
    });
    const { status } = await rest.call({ path, timeoutMs });
    return status >= 200 && status < 400;
  }

  /** preStop, SIGTERM, and SIGKILL when the time for both is up. */
  async #endContainer(container: Container, graceMs: number): Promise<void> {
    const deadlineMs = Date.now() + graceMs;
    const within = async (ms: number): Promise<void> => {
      await Promise.race([container.ended, sleep(Math.max(0, ms), undefined, { ref: false })]);
    };
    const preStopMs = (this.#spec.lifecycle?.preStop?.sleep?.seconds ?? 0) * 1_000;
    if (preStopMs > 0) await within(Math.min(preStopMs, graceMs));
    // It may be about to start.
    while (container.isRunning() && container.programId() === undefined) await sleep(POLL_MS);
    signalProgram(container, "SIGTERM");
    await within(deadlineMs - Date.now());
    signalProgram(container, "SIGKILL");
    await container.ended;
  }

  #set(state: ContainerState): void {
    this.#state = state;
    this.#publish();
  }

  #publish(): void {
    this.#isDirty = true;
    this.#writing ??= this.#writeStatus().finally(() => {
      this.#writing = undefined;
    });
  }

  async #writeStatus(): Promise<void> {
    const { namespace, name } = this.pod.metadata;
    while (this.#isDirty && !this.#over.signal.aborted) {
      this.#isDirty = false;
      const status = podStatus(
        this.address,
        containerStatus(this.#spec, this.#state, this.#restarts),
      );
      const { status: code } = await this.ground.rest.call({
        method: "PATCH",
        path: `/api/v1/namespaces/${namespace}/pods/${name}/status`,
        contentType: "application/strategic-merge-patch+json",
        body: { metadata: { uid: this.pod.metadata.uid }, status },
      });
      if (code === 404 || code === 409 || (code >= 200 && code < 300)) continue;
      this.#isDirty = true;
      await sleep(RETRY_MS, undefined, { ref: false });
    }
  }

  async #deleteObject(): Promise<void> {
    const { namespace, name, uid } = this.pod.metadata;
    for (;;) {
      const { status } = await this.ground.rest.call({
        method: "DELETE",
        path: `/api/v1/namespaces/${namespace}/pods/${name}`,
        body: { gracePeriodSeconds: 0, preconditions: { uid } },
      });
      // 409: another Pod of that name.
      if (status === 200 || status === 202 || status === 404 || status === 409) return;
      if (this.#over.signal.aborted) return;
      await sleep(RETRY_MS, undefined, { ref: false });
    }
  }
}

function signalProgram(container: Container, signal: NodeJS.Signals): void {
  const id = container.isRunning() ? container.programId() : undefined;
  if (id === undefined) return;
  try {
    process.kill(id, signal);
  } catch {
    // It has just ended.
  }
}
