import type { KubernetesObject } from "../api";
import type { Cache, Change } from "./cache";

class DeferredCache<T extends KubernetesObject> implements Cache<T> {
  readonly synced: Promise<void>;
  #opened: Cache<T> | undefined;
  #stopped = false;
  readonly #listeners: ((change: Change<T>) => void)[] = [];

  constructor(when: Promise<unknown>, open: () => Cache<T>) {
    this.synced = when.then(async () => {
      if (this.#stopped) return new Promise<never>(() => undefined);
      this.#opened = open();
      for (const listener of this.#listeners) this.#opened.onChange(listener);
      return this.#opened.synced;
    });
  }

  get isSynced(): boolean {
    return this.#opened?.isSynced ?? false;
  }

  get(name: string, namespace?: string): T | undefined {
    return this.#opened?.get(name, namespace);
  }

  list(namespace?: string): readonly T[] {
    return this.#opened?.list(namespace) ?? [];
  }

  onChange(listener: (change: Change<T>) => void): void {
    this.#listeners.push(listener);
    this.#opened?.onChange(listener);
  }

  stop(): void {
    this.#stopped = true;
    this.#opened?.stop();
  }
}

/** A cache that is opened when something has come to pass, a CustomResourceDefinition is there say; empty before. */
export function deferCache<T extends KubernetesObject>(
  when: Promise<unknown>,
  open: () => Cache<T>,
): Cache<T> {
  return new DeferredCache(when, open);
}
