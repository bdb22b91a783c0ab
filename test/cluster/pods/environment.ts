import {
  type ContainerSpec,
  type EnvironmentSource,
  type EnvironmentVariable,
  fieldOf,
  MissingSourceError,
  type Pod,
  type PodSources,
} from "./pod";

/** Whose environment it is. */
export interface EnvironmentRequest {
  readonly pod: Pod;
  readonly container: ContainerSpec;
  readonly podIP: string;
  readonly sources: PodSources;
  /** What every container gets: where the API server is. */
  readonly services: Readonly<Record<string, string>>;
}

type Variables = Readonly<Record<string, string>>;

const isName = /^[-._a-zA-Z][-._a-zA-Z0-9]*$/;

function fromBase64(data: Variables | undefined): Variables {
  const entries = Object.entries(data ?? {}).map(
    ([key, value]) => [key, Buffer.from(value, "base64").toString("utf8")] as const,
  );
  return Object.fromEntries(entries);
}

function dataOf(sources: PodSources, kind: "configMap" | "secret", name: string) {
  const object = sources[kind](name);
  if (object === undefined) return undefined;
  return kind === "secret" ? fromBase64(object.data) : (object.data ?? {});
}

function whole({ sources }: EnvironmentRequest, source: EnvironmentSource): Variables {
  const kind = source.secretRef === undefined ? "configMap" : "secret";
  const { name, optional } = source.secretRef ?? source.configMapRef ?? { name: "" };
  const data = dataOf(sources, kind, name);
  if (data === undefined) {
    if (optional === true) return {};
    throw new MissingSourceError(`${kind} "${name}" not found`);
  }
  const prefix = source.prefix ?? "";
  const entries = Object.entries(data).map(([key, value]) => [prefix + key, value] as const);
  return Object.fromEntries(entries.filter(([key]) => isName.test(key)));
}

/** `$(NAME)` for a variable that was given before, `$$` for a dollar. */
function expand(text: string, variables: Variables): string {
  return text.replace(/\$(?:\$|\(([-._a-zA-Z0-9]+)\))/g, (match, name?: string) =>
    name === undefined ? "$" : (variables[name] ?? match),
  );
}

function single(
  request: EnvironmentRequest,
  { name, value, valueFrom }: EnvironmentVariable,
  before: Variables,
): string | undefined {
  if (valueFrom === undefined) return expand(value ?? "", before);
  const { fieldRef, configMapKeyRef, secretKeyRef } = valueFrom;
  if (fieldRef !== undefined) return fieldOf(request.pod, fieldRef.fieldPath, request.podIP);
  const kind = secretKeyRef === undefined ? "configMap" : "secret";
  const ref = secretKeyRef ?? configMapKeyRef;
  if (ref === undefined) throw new MissingSourceError(`the source of ${name} is not played`);
  const found = dataOf(request.sources, kind, ref.name)?.[ref.key];
  if (found === undefined && ref.optional !== true) {
    throw new MissingSourceError(`couldn't find key ${ref.key} in ${kind} "${ref.name}"`);
  }
  return found;
}

/**
 * A container's environment: `envFrom` first, then `env`, which wins.
 * @throws {MissingSourceError} for a source that is not there and not optional.
 * @see https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/
 */
export function environmentOf(request: EnvironmentRequest): Variables {
  const { container, services } = request;
  const variables: Record<string, string> = { ...services };
  for (const source of container.envFrom ?? []) Object.assign(variables, whole(request, source));
  for (const variable of container.env ?? []) {
    const value = single(request, variable, variables);
    if (value !== undefined) variables[variable.name] = value;
  }
  return variables;
}
