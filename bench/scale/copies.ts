import { performance } from "node:perf_hooks";
import type { Api } from "../../test/harness/api";
import { GATEWAY_NAMESPACE } from "./stage";

/** A certificate in the gateway namespace, and when this process saw it there first, in milliseconds of its clock. */
export interface Arrival {
  /** In base64, as Secrets have it. */
  readonly certificate: string;
  readonly atMs: number;
}

/** Certificates in the gateway namespace, by a watch of its own. */
export class CopyWatch {
  readonly #arrivedMs = new Map<string, number>();
  readonly #waiting = new Map<string, (atMs: number) => void>();
  #stop: () => void = () => undefined;

  /** Starts to watch. */
  static async begin(api: Api): Promise<CopyWatch> {
    const copies = new CopyWatch();
    copies.#stop = await api.watch("Secret", GATEWAY_NAMESPACE, ({ type, object }) => {
      const certificate = object.data?.cert;
      if (certificate !== undefined && type !== "DELETED") copies.#note(certificate);
    });
    return copies;
  }

  stop(): void {
    this.#stop();
  }

  /** All that were seen until now. */
  arrivals(): readonly Arrival[] {
    return [...this.#arrivedMs].map(([certificate, atMs]) => ({ certificate, atMs }));
  }

  /**
   * Waits for a certificate.
   * @param certificate In base64.
   * @throws Error when it does not come in time.
   */
  async until(certificate: string, timeoutMs: number): Promise<void> {
    if (this.#arrivedMs.has(certificate)) return;
    await new Promise<void>((resolve, reject) => {
      const late = setTimeout(() => {
        this.#waiting.delete(certificate);
        reject(new Error(`a certificate was not copied within ${timeoutMs} ms`));
      }, timeoutMs);
      this.#waiting.set(certificate, () => {
        clearTimeout(late);
        resolve();
      });
    });
  }

  #note(certificate: string): void {
    if (this.#arrivedMs.has(certificate)) return;
    const atMs = performance.now();
    this.#arrivedMs.set(certificate, atMs);
    this.#waiting.get(certificate)?.(atMs);
    this.#waiting.delete(certificate);
  }
}
