import { Type, type TObject, type TProperties } from "@sinclair/typebox";
import { GROUP, VERSION } from "./names";
import { toOpenAPI, type ValidationRule } from "./schema";

/** A column that `kubectl get` prints. */
export interface PrinterColumn {
  readonly name: string;
  readonly type: "string" | "integer" | "date";
  readonly jsonPath: string;
  readonly description?: string;
  /** 1: only with `-o wide`. */
  readonly priority?: number;
}

/** What is needed to serve a kind of fairlead's. */
export interface KindDefinition {
  readonly kind: string;
  readonly plural: string;
  readonly singular: string;
  readonly shortNames: readonly string[];
  readonly description: string;
  readonly spec: TObject;
  readonly status: TObject;
  /** Rules over the whole object, its name included. */
  readonly rules?: readonly ValidationRule[];
  readonly columns: readonly PrinterColumn[];
}

/** A CustomResourceDefinition as it is applied. */
export interface CustomResourceDefinition {
  readonly apiVersion: "apiextensions.k8s.io/v1";
  readonly kind: "CustomResourceDefinition";
  readonly metadata: {
    readonly name: string;
    readonly labels?: Record<string, string>;
    readonly annotations?: Record<string, string>;
  };
  readonly spec: Record<string, unknown>;
}

function rootSchema(definition: KindDefinition): Record<string, unknown> {
  const properties: TProperties = {
    apiVersion: Type.Optional(Type.String({ description: "fairlead.dev/v1alpha1" })),
    kind: Type.Optional(Type.String({ description: definition.kind })),
    metadata: Type.Optional(Type.Object({})),
    spec: definition.spec,
    status: Type.Optional(definition.status),
  };
  return {
    ...toOpenAPI(Type.Object(properties, { description: definition.description })),
    ...(definition.rules === undefined ? {} : { "x-kubernetes-validations": definition.rules }),
  };
}

/** The CustomResourceDefinition of a kind: one version, namespaced, with a status subresource. */
export function customResourceDefinition(definition: KindDefinition): CustomResourceDefinition {
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${definition.plural}.${GROUP}` },
    spec: {
      group: GROUP,
      scope: "Namespaced",
      names: {
        kind: definition.kind,
        listKind: `${definition.kind}List`,
        plural: definition.plural,
        singular: definition.singular,
        shortNames: definition.shortNames,
        categories: ["fairlead"],
      },
      versions: [
        {
          name: VERSION,
          served: true,
          storage: true,
          schema: { openAPIV3Schema: rootSchema(definition) },
          subresources: { status: {} },
          additionalPrinterColumns: definition.columns,
        },
      ],
    },
  };
}
