import { paintChange, renderChange, renderTable, type Style } from "./render";

/** The story and the cluster disagree: a claim did not hold. The message is a sentence for the user. */
export class StoryError extends Error {
  override readonly name = "StoryError";
}

/** Where a story is written to. */
export interface Sink {
  write(text: string): unknown;
}

const PRIVATE_KEY = "PRIVATE KEY";

/** Tells the story, line by line, and counts the claims that it makes. */
export class Narrator {
  #claims = 0;
  #chapters = 0;

  constructor(
    private readonly sink: Sink,
    readonly style: Style,
  ) {}

  /** How many claims were made; each of them held. */
  get claims(): number {
    return this.#claims;
  }

  /**
   * One line of text, or an empty one.
   * @throws Error for anything that has a private key in it.
   */
  line(text = ""): void {
    if (text.includes(PRIVATE_KEY)) throw new Error("a private key was about to be printed");
    this.sink.write(`${text}\n`);
  }

  /** Begins a chapter. */
  chapter(title: string): void {
    this.#chapters += 1;
    this.line();
    this.line(this.style.bold(`${this.#chapters}. ${title}`));
  }

  /** A sentence or more of the story, a line each. */
  text(...lines: readonly string[]): void {
    for (const line of lines) this.line(`   ${line}`);
  }

  /** An object before and after. */
  change(title: string, before: object, after: object): void {
    this.line(`   ${title}`);
    for (const line of paintChange(renderChange(before, after), this.style)) {
      this.line(`     ${line}`);
    }
  }

  /** A table. */
  table(head: readonly string[], rows: readonly (readonly string[])[]): void {
    for (const line of renderTable(head, rows)) this.line(`   ${line}`);
  }

  /**
   * A claim that was checked.
   * @param claim A sentence.
   * @param holds Whether it is so.
   * @param observed What there is instead, if it is not so: no Secret's data.
   * @throws {StoryError} when it does not hold.
   */
  claim(claim: string, holds: boolean, observed = "it is not so"): void {
    if (!holds) throw new StoryError(`${claim} – but ${observed}`);
    this.#claims += 1;
    this.line(`   ${this.style.good("✓")} ${claim}`);
  }
}
