/** What was written for one HostedAPIServer, and where. */
interface Written {
  /** Key of the InternalGateway. */
  readonly gateway: string;
  readonly atMs: number;
}

/**
 * Whom to look at again when one is seen to be served. istiod pushes configuration in batches, in the order in which it
 * was written, and more seldom the more is written: where many HostedAPIServers wait for the gateway, what is seen of
 * one says that those that were written before it are served too, and none has to wait for the end of a wait of its own.
 */
export class Waves {
  /** By the key of the HostedAPIServer. */
  readonly #written = new Map<string, Written>();
  /** InternalGateway → HostedAPIServers that were looked at in vain. */
  readonly #waiting = new Map<string, Set<string>>();
  /** InternalGateway → what was written until then was seen to be served. */
  readonly #servedUntilMs = new Map<string, number>();

  /** Notes that configuration of a HostedAPIServer was written. */
  wrote(server: string, written: Written): void {
    this.#stopWaiting(server);
    this.#written.set(server, written);
  }

  /** Notes that a HostedAPIServer was looked at and is not served. */
  missed(server: string): void {
    const written = this.#written.get(server);
    if (written === undefined) return;
    const { gateway, atMs } = written;
    // It should be served already: another one will not tell more.
    if (atMs <= (this.#servedUntilMs.get(gateway) ?? 0)) return;
    const waiting = this.#waiting.get(gateway) ?? new Set();
    this.#waiting.set(gateway, waiting.add(server));
  }

  /**
   * Notes that a HostedAPIServer was seen to be served.
   * @returns The keys of those that are to be looked at again, once each time that something is written for them.
   */
  served(server: string): readonly string[] {
    this.#stopWaiting(server);
    const { gateway, atMs } = this.#written.get(server) ?? {};
    if (gateway === undefined || atMs === undefined) return [];
    if (atMs <= (this.#servedUntilMs.get(gateway) ?? 0)) return [];
    this.#servedUntilMs.set(gateway, atMs);
    const due = [...(this.#waiting.get(gateway) ?? [])].filter(
      (other) => (this.#written.get(other)?.atMs ?? Infinity) <= atMs,
    );
    for (const other of due) this.#stopWaiting(other);
    return due;
  }

  /** Forgets a HostedAPIServer that is gone. */
  forget(server: string): void {
    this.#stopWaiting(server);
    this.#written.delete(server);
  }

  #stopWaiting(server: string): void {
    const { gateway = "" } = this.#written.get(server) ?? {};
    const waiting = this.#waiting.get(gateway);
    waiting?.delete(server);
    if (waiting?.size === 0) this.#waiting.delete(gateway);
  }
}
