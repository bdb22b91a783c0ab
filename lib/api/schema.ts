import {
  Type,
  type SchemaOptions,
  type Static,
  type TSchema,
  type TUnsafe,
} from "@sinclair/typebox";

/**
 * A CEL rule of a structural schema.
 * @see https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#validation-rules
 */
export interface ValidationRule {
  readonly rule: string;
  readonly message: string;
  readonly fieldPath?: string;
  readonly reason?: "FieldValueInvalid" | "FieldValueForbidden" | "FieldValueRequired";
}

/** The extensions of OpenAPI v3 that Kubernetes reads in a CustomResourceDefinition. */
export interface KubernetesSchemaOptions extends SchemaOptions {
  readonly "x-kubernetes-validations"?: readonly ValidationRule[];
  readonly "x-kubernetes-list-type"?: "atomic" | "set" | "map";
  readonly "x-kubernetes-list-map-keys"?: readonly string[];
}

/** A string that is one of `values`: `enum`, where TypeBox's own union would give `anyOf`, which is not structural. */
export const StringEnum = <const T extends readonly string[]>(
  values: T,
  options: SchemaOptions = {},
): TUnsafe<T[number]> => Type.Unsafe<T[number]>({ type: "string", enum: [...values], ...options });

/** An object with string keys and values (labels): `additionalProperties`, not TypeBox's `patternProperties`. */
export const StringMap = (options: SchemaOptions = {}): TUnsafe<Record<string, string>> =>
  Type.Unsafe<Record<string, string>>({
    type: "object",
    additionalProperties: { type: "string" },
    ...options,
  });

/** An RFC 3339 time, kept as the string that it is on the wire. */
export const Time = (options: SchemaOptions = {}): TUnsafe<string> =>
  Type.Unsafe<string>({ type: "string", format: "date-time", ...options });

/** `metav1.Condition`, in Gateway API's words; a list-map by type, so that each condition can have its own owner. */
export const ConditionSchema = Type.Object(
  {
    type: Type.String({
      minLength: 1,
      maxLength: 316,
      description: "Type of the condition, in CamelCase.",
    }),
    status: StringEnum(["True", "False", "Unknown"], { description: "True, False or Unknown." }),
    observedGeneration: Type.Optional(
      Type.Integer({
        minimum: 0,
        description: "The metadata.generation that the condition was set for.",
      }),
    ),
    lastTransitionTime: Time({ description: "When the status last changed." }),
    reason: Type.String({
      minLength: 1,
      maxLength: 1024,
      description: "Why, in CamelCase, for programs.",
    }),
    message: Type.String({ maxLength: 32768, description: "Why, and what to do, for people." }),
  },
  { description: "One aspect of the current state." },
);

/** A condition of a status. */
export type Condition = Static<typeof ConditionSchema>;

/** The `conditions` of a status. */
export const Conditions = (description: string) =>
  Type.Optional(
    Type.Array(ConditionSchema, {
      description,
      maxItems: 16,
      "x-kubernetes-list-type": "map",
      "x-kubernetes-list-map-keys": ["type"],
    } satisfies KubernetesSchemaOptions),
  );

/** A plain JSON value of a schema: without TypeBox's symbols, as a manifest needs it. */
export function toOpenAPI(schema: TSchema): Record<string, unknown> {
  return JSON.parse(JSON.stringify(schema)) as Record<string, unknown>;
}
