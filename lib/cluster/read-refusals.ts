/** Which namespaces fairlead has no right to read, and what is said of it. */
export class ReadRefusals {
  readonly #byNamespace = new Map<string, Map<object, string>>();

  /**
   * Notes what came of a read.
   * @param reader Whoever reads, one for each kind and namespace.
   * @param sentence What the API server says; undefined: it lets itself be read.
   */
  note(namespace: string, reader: object, sentence: string | undefined): void {
    const refusals = this.#byNamespace.get(namespace) ?? new Map<object, string>();
    if (sentence === undefined) refusals.delete(reader);
    else refusals.set(reader, sentence);
    if (refusals.size > 0) this.#byNamespace.set(namespace, refusals);
    else this.#byNamespace.delete(namespace);
  }

  /** What is said of the first kind that can't be read in a namespace; undefined where all can. */
  of(namespace: string): string | undefined {
    const [first] = this.#byNamespace.get(namespace)?.values() ?? [];
    return first;
  }
}
