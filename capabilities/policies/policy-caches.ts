import { openCache, type Cache, type CacheContext } from "../../lib/cluster";
import { isManaged } from "../../lib/domain/names";
import { nameOf } from "./compare";
import type { AnyPolicy } from "./observed";
import type { PolicyVersion } from "./resources";

const GROUP = "admissionregistration.k8s.io";

/** Of a policy of somebody else nothing is needed but its name. */
function project(object: AnyPolicy): AnyPolicy {
  if (isManaged(object)) return object;
  const { name, uid = "", resourceVersion = "" } = object.metadata;
  const { apiVersion, kind } = object;
  return { apiVersion, kind, metadata: { name, uid, resourceVersion }, spec: {} };
}

/** The policies and bindings of the cluster: validating ones, and mutating ones of the version that is served. */
export class PolicyCaches {
  #validating: readonly Cache<AnyPolicy>[] = [];
  #mutating: readonly Cache<AnyPolicy>[] = [];
  #version: PolicyVersion | undefined;

  constructor(
    private readonly context: CacheContext,
    private readonly onChange: () => void,
  ) {}

  /** Follows the validating ones, from when they are known on. */
  async open(): Promise<void> {
    if (this.#validating.length === 0) this.#validating = this.#open("Validating", "v1");
    await Promise.all(this.#validating.map(async ({ synced }) => synced));
  }

  /** Follows mutating policies in another version, or in none. */
  async follow(version: PolicyVersion | undefined): Promise<void> {
    if (version === this.#version) return;
    for (const cache of this.#mutating) cache.stop();
    this.#version = version;
    this.#mutating = version === undefined ? [] : this.#open("Mutating", version);
    await Promise.all(this.#mutating.map(async ({ synced }) => synced));
  }

  /** Those that are fairlead's, or have one of these names. */
  list(names: ReadonlySet<string>): readonly AnyPolicy[] {
    return [...this.#validating, ...this.#mutating]
      .flatMap((cache) => cache.list())
      .filter((object) => isManaged(object) || names.has(nameOf(object)));
  }

  stop(): void {
    for (const cache of [...this.#validating, ...this.#mutating]) cache.stop();
  }

  #open(sort: "Validating" | "Mutating", version: PolicyVersion): readonly Cache<AnyPolicy>[] {
    return [`${sort}AdmissionPolicy`, `${sort}AdmissionPolicyBinding`].map((kind) => {
      const cache = openCache<AnyPolicy>(this.context, {
        apiVersion: `${GROUP}/${version}`,
        kind,
        project,
      });
      cache.onChange(() => {
        this.onChange();
      });
      return cache;
    });
  }
}
