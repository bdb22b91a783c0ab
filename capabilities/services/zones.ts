import type { PartialObjectMetadata } from "../../lib/api";
import type { Cache, CacheOptions } from "../../lib/cluster";
import { LABEL_ZONE } from "../../lib/domain/names";

const zoneOf = (node: PartialObjectMetadata | undefined): string => {
  return node?.metadata.labels?.[LABEL_ZONE] ?? "";
};

/** Nodes, of which nothing is kept but their zone. */
export const zonedNodes: CacheOptions<PartialObjectMetadata> = {
  apiVersion: "v1",
  kind: "Node",
  metadataOnly: true,
  project: (node) => {
    const zone = zoneOf(node);
    return {
      apiVersion: node.apiVersion,
      kind: node.kind,
      metadata: {
        name: node.metadata.name,
        ...(zone === "" ? {} : { labels: { [LABEL_ZONE]: zone } }),
      },
    };
  },
};

/** Counts the zones that the nodes of a cluster span. A node more or less in a known zone costs next to nothing. */
export class ZoneCounter {
  readonly #nodesByZone = new Map<string, number>();
  readonly #listeners: (() => void)[] = [];
  /** Resolves when the nodes are known. */
  readonly ready: Promise<void>;

  /** @param nodes A cache of `zonedNodes`. */
  constructor(readonly nodes: Cache<PartialObjectMetadata>) {
    for (const node of nodes.list()) this.#add(zoneOf(node), 1);
    nodes.onChange(({ kind, object, previous }) => {
      const before = kind === "added" ? "" : zoneOf(previous ?? object);
      const after = kind === "deleted" ? "" : zoneOf(object);
      if (before !== after) this.#move(before, after);
    });
    this.ready = nodes.synced;
    void nodes.synced.then(() => {
      this.#tell();
    });
  }

  /** How many zones there are; undefined until the nodes are known. */
  get count(): number | undefined {
    return this.nodes.isSynced ? this.#nodesByZone.size : undefined;
  }

  /** Calls back whenever the number of zones may have changed. */
  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  #move(before: string, after: string): void {
    const count = this.#nodesByZone.size;
    this.#add(before, -1);
    this.#add(after, 1);
    if (count !== this.#nodesByZone.size && this.nodes.isSynced) this.#tell();
  }

  #add(zone: string, change: number): void {
    if (zone === "") return;
    const count = (this.#nodesByZone.get(zone) ?? 0) + change;
    if (count > 0) this.#nodesByZone.set(zone, count);
    else this.#nodesByZone.delete(zone);
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}
