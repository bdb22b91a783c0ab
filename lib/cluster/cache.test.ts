import { FakeCache } from "../../test/doubles/fake-cache";
import type { KubernetesObject } from "../api";
import { narrowCache } from "./cache";

const object = (namespace: string): KubernetesObject => ({
  apiVersion: "v1",
  kind: "Service",
  metadata: { name: "a", namespace },
});

describe("a cache that is narrowed to namespaces", () => {
  it("shows and tells of nothing else", () => {
    const whole = new FakeCache<KubernetesObject>();
    const narrowed = narrowCache(whole, ["listed"]);
    const told: string[] = [];
    narrowed.onChange(({ kind, object: { metadata } }) => {
      told.push(`${kind} ${metadata.namespace ?? ""}`);
    });
    whole.fill([object("listed"), object("other")]);
    whole.remove(object("other"));

    expect(told).toEqual(["added listed"]);
    expect(narrowed.list()).toEqual([object("listed")]);
    expect(narrowed.list("other")).toEqual([]);
    expect(narrowed.get("a", "other")).toBeUndefined();
    expect(narrowed.get("a", "listed")).toEqual(object("listed"));
    expect(narrowed.isSynced).toBe(true);
  });

  it("is the whole where no namespaces are listed", () => {
    const whole = new FakeCache<KubernetesObject>();

    expect(narrowCache(whole, undefined)).toBe(whole);
  });
});
