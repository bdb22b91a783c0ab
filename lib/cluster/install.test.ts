import type { CustomResourceDefinition } from "../api";
import { needsInstall } from "./install";

function definition(version: string, hash: string): CustomResourceDefinition {
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: {
      name: "hostedapiservers.fairlead.dev",
      annotations: { "fairlead.dev/version": version, "fairlead.dev/schema-hash": hash },
    },
    spec: {},
  };
}

describe("a CustomResourceDefinition", () => {
  it("is installed where there is none", () => {
    expect(needsInstall(undefined, definition("0.1.0", "a"))).toBe(true);
  });

  it("is left alone where the same schema is there", () => {
    expect(needsInstall(definition("0.1.0", "a"), definition("0.2.0", "a"))).toBe(false);
  });

  it("is upgraded by a newer fairlead", () => {
    expect(needsInstall(definition("0.1.0", "a"), definition("0.2.0", "b"))).toBe(true);
  });

  it("is not taken back by an older fairlead that starts during a rollout", () => {
    expect(needsInstall(definition("0.10.0", "a"), definition("0.9.0", "b"))).toBe(false);
  });

  it("is taken over where somebody applied it without fairlead's marks", () => {
    const { annotations: _annotations, ...metadata } = definition("0.1.0", "a").metadata;
    expect(needsInstall({ ...definition("", ""), metadata }, definition("0.1.0", "a"))).toBe(true);
  });
});
