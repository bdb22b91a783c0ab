import type { KubernetesObject, PartialObjectMetadata } from "../../../lib/api";
import { FakeCache } from "../../../test/doubles/fake-cache";
import { Selection } from "./selection";

const object = (name: string, isWanted: boolean): PartialObjectMetadata => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name, namespace: "a", labels: { wanted: String(isWanted) } },
});

function setUp(...objects: readonly PartialObjectMetadata[]) {
  const cache = new FakeCache<PartialObjectMetadata>();
  for (const one of objects) cache.put(one);
  const told: string[] = [];
  const select = (one: KubernetesObject): KubernetesObject | undefined =>
    one.metadata.labels?.wanted === "true" ? one : undefined;
  const selection = new Selection(cache, select, (change) => {
    told.push(`${change.kind} ${change.object.metadata.name}`);
  });
  const names = (namespace?: string): readonly string[] =>
    selection.list(namespace).map(({ metadata }) => metadata.name);
  return { cache, told, names };
}

describe("a selection", () => {
  it("has what is there when it is made, by namespace too, and tells nothing of it", () => {
    const { told, names } = setUp(object("one", true), object("two", false));
    expect(names()).toEqual(["one"]);
    expect(names("a")).toEqual(["one"]);
    expect(names("b")).toEqual([]);
    expect(told).toEqual([]);
  });

  it("tells of what belongs to it, and of nothing else", () => {
    const { cache, told, names } = setUp();
    cache.put(object("one", true));
    cache.put(object("two", false));
    cache.put(object("one", true));
    cache.remove(object("two", false));
    cache.remove(object("one", true));
    expect(told).toEqual(["added one", "updated one", "deleted one"]);
    expect(names()).toEqual([]);
  });

  it("notices that an object begins or ends to belong to it", () => {
    const { cache, told, names } = setUp(object("one", false), object("two", true));
    cache.put(object("one", true));
    cache.put(object("two", false));
    expect(told).toEqual(["added one", "deleted two"]);
    expect(names()).toEqual(["one"]);
  });
});
