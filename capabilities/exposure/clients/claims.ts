import { keyOf } from "../../../lib/domain/keys";
import type { HostedAPIServer } from "../../../lib/api";

interface Claimant {
  readonly namespace: string;
  readonly createdAt: string;
  readonly names: readonly string[];
}

/** Which HostedAPIServers name which Secrets of kubeconfigs; of two that name one, the older has it. */
export class Claims {
  readonly #claimants = new Map<string, Claimant>();
  /** Secret (`namespace/name`) → keys of HostedAPIServers. */
  readonly #keys = new Map<string, Set<string>>();

  /** Notes what a HostedAPIServer names now; answers the names, each once, sorted. */
  note(server: HostedAPIServer): readonly string[] {
    const key = keyOf(server);
    this.forget(key);
    const { namespace = "", creationTimestamp: createdAt = "" } = server.metadata;
    const names = [...new Set(server.spec.clients?.kubeconfigSecrets ?? [])].sort();
    this.#claimants.set(key, { namespace, createdAt, names });
    for (const name of names) {
      const place = `${namespace}/${name}`;
      this.#keys.set(place, (this.#keys.get(place) ?? new Set()).add(key));
    }
    return names;
  }

  /** Forgets a HostedAPIServer. */
  forget(key: string): void {
    const { namespace, names = [] } = this.#claimants.get(key) ?? {};
    this.#claimants.delete(key);
    for (const name of names) {
      const place = `${namespace ?? ""}/${name}`;
      const keys = this.#keys.get(place);
      keys?.delete(key);
      if (keys?.size === 0) this.#keys.delete(place);
    }
  }

  /** The keys of the HostedAPIServers that name a Secret, the oldest first, ties by key. */
  keysOf(namespace: string, name: string): readonly string[] {
    const age = (key: string): string => `${this.#claimants.get(key)?.createdAt ?? ""} ${key}`;
    return [...(this.#keys.get(`${namespace}/${name}`) ?? [])].sort((a, b) =>
      age(a) < age(b) ? -1 : 1,
    );
  }
}
