import * as fc from "fast-check";
import { applyPatch, compare, deepClone } from "fast-json-patch";
import { PeprMutateRequest } from "pepr";
import { clone } from "ramda";
import { cloneShallowly } from "./shallow-clones";

const anyMap = fc.dictionary(fc.string(), fc.string(), { maxKeys: 3 });
const anyObject = fc.record(
  {
    apiVersion: fc.constant("v1"),
    kind: fc.constant("Pod"),
    metadata: fc.option(
      fc.record(
        { name: fc.string(), labels: fc.option(anyMap), annotations: fc.option(anyMap) },
        { requiredKeys: [] },
      ),
    ),
    spec: fc.record({ volumes: fc.array(fc.record({ name: fc.string() })) }),
  },
  { requiredKeys: ["apiVersion", "kind", "spec"] },
);

type Request = ConstructorParameters<typeof PeprMutateRequest>[0];

/** What Pepr does with the object of a request: clone it, mark it, let it be changed, mark it, clone it, compare. */
function patchOf(object: object, change: (raw: object) => object) {
  const request = new PeprMutateRequest({ operation: "CREATE", object } as unknown as Request);
  request.SetAnnotation("fairlead.pepr.dev/pods", "started");
  request.Raw = change(request.Raw) as typeof request.Raw;
  request.SetAnnotation("fairlead.pepr.dev/pods", "succeeded");
  request.SetLabel("fairlead.dev/route", "true");
  return compare(object, clone(request.Raw));
}

describe("an object that is cloned shallowly", () => {
  it("is patched as one that is cloned whole", () => {
    fc.assert(
      fc.property(anyObject, fc.boolean(), (object, isChanged) => {
        const change = (raw: object) =>
          isChanged ? { ...raw, spec: { ...object.spec, hostAliases: [{ ip: "10.0.0.1" }] } } : raw;
        const shallow = cloneShallowly(deepClone(object) as typeof object);

        const whole = patchOf(deepClone(object) as typeof object, change);
        const patch = patchOf(shallow, (raw) => cloneShallowly(change(raw)));

        expect(patch).toEqual(whole);
        // The marks went to the clone alone.
        expect(shallow).toEqual(object);
        expect(applyPatch(deepClone(object), patch).newDocument).toEqual(
          applyPatch(deepClone(object), whole).newDocument,
        );
      }),
    );
  });

  it("shares what is not written in place", () => {
    const object = cloneShallowly({ metadata: { labels: { a: "b" } }, spec: { volumes: [] } });
    const copy = clone(object);

    expect(copy).toEqual(object);
    expect(copy.spec).toBe(object.spec);
    expect(copy.metadata).not.toBe(object.metadata);
    expect(copy.metadata.labels).not.toBe(object.metadata.labels);
  });

  it("looks as before", () => {
    const object = cloneShallowly({ kind: "Pod" });

    expect(Object.keys(object)).toEqual(["kind"]);
    expect(JSON.stringify(object)).toBe('{"kind":"Pod"}');
  });

  it.each([undefined, null, "text", 1, []])("may be none: %p", (value) => {
    expect(cloneShallowly(value)).toBe(value);
  });

  it("keeps a field of that name", () => {
    expect(cloneShallowly({ clone: "text" })).toEqual({ clone: "text" });
  });
});
