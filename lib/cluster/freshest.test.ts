import type { PartialObjectMetadata } from "../api";
import { FakeCache } from "../../test/doubles/fake-cache";
import { Freshest } from "./freshest";

const secret = (uid: string, resourceVersion: string): PartialObjectMetadata => ({
  apiVersion: "v1",
  kind: "Secret",
  metadata: { name: "route", namespace: "istio-ingress", uid, resourceVersion },
});

function setUp() {
  const cache = new FakeCache<PartialObjectMetadata>();
  const fresh = new Freshest(cache);
  const seen = (): string | undefined => fresh.get("route", "istio-ingress")?.metadata.uid;
  return { cache, fresh, seen };
}

describe("one's own writes", () => {
  it("are seen before the watch tells of them", () => {
    const { fresh, seen } = setUp();
    fresh.wrote(secret("a", "5"));
    expect(seen()).toBe("a");
  });

  it("are gone when somebody deleted them before anybody looked", () => {
    const { cache, fresh, seen } = setUp();
    fresh.wrote(secret("a", "5"));
    cache.put(secret("a", "5"));
    cache.remove(secret("a", "5"));
    expect(seen()).toBeUndefined();
  });

  it("stay when the watch tells of the end of what they replaced", () => {
    const { cache, fresh, seen } = setUp();
    cache.put(secret("a", "5"));
    fresh.removed(secret("a", "5"));
    fresh.wrote(secret("b", "7"));
    cache.remove(secret("a", "5"));
    expect(seen()).toBe("b");
  });
});
