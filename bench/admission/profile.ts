/** A profile as V8's sampling profiler writes it (`--cpu-prof`). */
export interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string };
    readonly children?: readonly number[];
  }[];
  /** When it began, in microseconds of the machine's monotonic clock. */
  readonly startTime: number;
  /** The node that each sample was taken in. */
  readonly samples: readonly number[];
  /** Microseconds since the sample before. */
  readonly timeDeltas: readonly number[];
}

const IDLE = "idle";

/** What a process did: the first that matches the place of a sample, or of who called it, names it. */
const PLACES: readonly (readonly [name: string, pattern: RegExp])[] = [
  [IDLE, /^\(idle\)$/],
  ["garbage collection", /^\(garbage collector\)$/],
  ["fairlead: logs (pino)", /node_modules\/(pino|sonic-boom)/],
  ["fairlead: its decision and its mending of Pepr's answer", /dist\/pepr-fairlead\.js/],
  ["Pepr: clones (ramda)", /node_modules\/ramda/],
  ["Pepr: comparison (fast-json-patch)", /node_modules\/fast-json-patch/],
  [
    "Pepr: body (body-parser, raw-body, iconv-lite)",
    /node_modules\/(body-parser|raw-body|iconv-lite)/,
  ],
  [
    "Pepr: Express and its router",
    /node_modules\/(express|router|path-to-regexp|finalhandler|send|etag|on-finished|qs|type-is|content-type|accepts|negotiator|mime-)/,
  ],
  ["Pepr: metrics (prom-client)", /node_modules\/prom-client/],
  ["Pepr: itself", /node_modules\/pepr\//],
  ["Node: HTTP, TLS and streams", /^node:/],
];

const NATIVE = "native code (system calls, cryptography, V8)";

/** A span of time by the machine's monotonic clock, as `process.hrtime` reads it, in microseconds. */
export interface Span {
  readonly fromUs: number;
  readonly toUs: number;
}

/** What the machine's monotonic clock says, in microseconds. */
export function monotonicUs(): number {
  return Number(process.hrtime.bigint() / 1_000n);
}

function placeOf(text: string): string | undefined {
  return PLACES.find(([, pattern]) => pattern.test(text))?.[0];
}

/**
 * Where the time of a span went, as shares of the time in which the process was not idle; the largest first. The time of
 * a function of V8's own (`JSON.parse`) counts for who called it.
 */
export function sharesOf(
  profile: CpuProfile,
  { fromUs, toUs }: Span,
): readonly (readonly [place: string, share: number])[] {
  const places = placesOfNodes(profile);
  const spentUs = new Map<string, number>();
  let atUs = profile.startTime;
  profile.samples.forEach((node, index) => {
    const tookUs = profile.timeDeltas[index] ?? 0;
    atUs += tookUs;
    if (atUs < fromUs || atUs > toUs) return;
    const place = places.get(node) ?? NATIVE;
    spentUs.set(place, (spentUs.get(place) ?? 0) + tookUs);
  });
  spentUs.delete(IDLE);
  const allUs = [...spentUs.values()].reduce((sum, us) => sum + us, 0);
  return [...spentUs]
    .map(([place, us]) => [place, us / allUs] as const)
    .sort(([, a], [, b]) => b - a);
}

function placesOfNodes({ nodes }: CpuProfile): ReadonlyMap<number, string> {
  const places = new Map<number, string>();
  const parents = new Map(
    nodes.flatMap(({ id, children = [] }) => children.map((child) => [child, id])),
  );
  // A parent comes before its children.
  for (const { id, callFrame } of nodes) {
    const own = placeOf(callFrame.url) ?? placeOf(callFrame.functionName);
    places.set(id, own ?? places.get(parents.get(id) ?? 0) ?? NATIVE);
  }
  return places;
}
