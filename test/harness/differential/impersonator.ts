import type { EmbeddedCluster } from "../../cluster";
import { Api } from "../api";

/** Connections to an API server as several administrators, by name. */
export class Impersonator {
  readonly #apis = new Map<string | undefined, Api>();

  constructor(private readonly cluster: EmbeddedCluster) {}

  /** As an administrator of that name; undefined: the cluster's own. */
  as(username: string | undefined): Api {
    const known = this.#apis.get(username);
    if (known !== undefined) return known;
    const api =
      username === undefined
        ? new Api(this.cluster)
        : new Api(this.cluster, { user: username, groups: ["system:masters"] });
    this.#apis.set(username, api);
    return api;
  }

  /** Ends the connections. */
  close(): void {
    for (const api of this.#apis.values()) api.close();
  }
}
