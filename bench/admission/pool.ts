/** Samples of many rounds, sorted once, of which quantiles over any choice of rounds are taken without sorting again. */
export class Pool<Round> {
  readonly #places: ReadonlyMap<Round, number>;
  readonly #values: Float64Array;
  /** Of each value, whose it is. */
  readonly #owners: Uint32Array;

  /** @param samplesOf What a round gave. */
  constructor(rounds: readonly Round[], samplesOf: (round: Round) => readonly number[]) {
    this.#places = new Map(rounds.map((round, place) => [round, place]));
    const owned = rounds
      .flatMap((round, owner) => samplesOf(round).map((value) => ({ value, owner })))
      .sort((a, b) => a.value - b.value);
    this.#values = Float64Array.from(owned, ({ value }) => value);
    this.#owners = Uint32Array.from(owned, ({ owner }) => owner);
  }

  /**
   * The value at a share of the samples of some rounds, the nearest from above (type 1).
   * @param some Of the rounds given to the constructor; one that is there twice counts twice.
   * @param share From 0 to 1: 0.99 is p99.
   * @throws {RangeError} where the rounds have no samples.
   */
  quantile(some: readonly Round[], share: number): number {
    const counts = new Uint32Array(this.#places.size);
    for (const round of some) {
      const place = this.#places.get(round);
      if (place === undefined) throw new RangeError("a round is none of the pool's");
      counts[place] = (counts[place] ?? 0) + 1;
    }
    const weightOf = (index: number): number => counts[this.#owners[index] ?? 0] ?? 0;
    let all = 0;
    for (let index = 0; index < this.#owners.length; index += 1) all += weightOf(index);
    const wanted = Math.max(share * all, 1);
    let passed = 0;
    for (let index = 0; index < this.#owners.length; index += 1) {
      passed += weightOf(index);
      if (passed >= wanted) return this.#values[index] ?? Number.NaN;
    }
    throw new RangeError("the rounds have no samples");
  }
}
