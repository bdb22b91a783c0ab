import { customResourceDefinitions } from "../../lib/api";
import { marked } from "../../lib/cluster/install";
import type { Entry, Template } from "../template";

/** The kind of Pepr's store, without which its processes don't start. Pepr's own controller applies the same. */
export const peprStoreDefinition = {
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: { name: "peprstores.pepr.dev" },
  spec: {
    group: "pepr.dev",
    scope: "Namespaced",
    names: {
      kind: "PeprStore",
      listKind: "PeprStoreList",
      plural: "peprstores",
      singular: "peprstore",
    },
    versions: [
      {
        name: "v1",
        served: true,
        storage: true,
        schema: {
          openAPIV3Schema: {
            type: "object",
            properties: {
              data: { type: "object", additionalProperties: { type: "string" } },
            },
          },
        },
      },
    ],
  },
} as const;

/**
 * The CustomResourceDefinitions. fairlead finds its own kinds up to date then, so its processes need no right to write
 * them.
 * @param version fairlead's (semver).
 */
export function definitionEntries(version: string): readonly Entry[] {
  const own = customResourceDefinitions.map((definition) => marked(definition, version));
  return [...own, peprStoreDefinition].map((object) => ({
    object: object as unknown as Template,
    when: [{ path: "crds.install", is: true }],
  }));
}

/** The names of the CustomResourceDefinitions that a process looks at when it starts. */
export const definitionNames: readonly string[] = [
  ...customResourceDefinitions.map(({ metadata }) => metadata.name),
  peprStoreDefinition.metadata.name,
];
