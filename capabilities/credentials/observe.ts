import type { HostedAPIServer, PartialObjectMetadata } from "../../lib/api";
import type { KubernetesClient } from "../../lib/cluster";
import { keyOf } from "../../lib/domain/keys";
import { ANNOTATION_SUPERSEDED_AT } from "../../lib/domain/names";
import { currentName, type ObservedSecret } from "./observed";
import { USES } from "./secrets";
import { sourceKey, sourceRefs, type ConfigMap, type Secret, type Sources } from "./sources";
import type { Wishes } from "./wishes";

/** The name of a Secret. */
export interface SecretName {
  readonly namespace: string;
  readonly name: string;
}

/** Reads everything that a HostedAPIServer takes its certificates from; each object once, so that its keys go together. */
export async function readSources(
  client: KubernetesClient,
  hapi: HostedAPIServer,
): Promise<Sources> {
  const entries = await Promise.all(
    sourceRefs(hapi).map(async (ref) => {
      const found = await client.get<Secret | ConfigMap>({ apiVersion: "v1", ...ref });
      return found === undefined ? [] : [[sourceKey(ref), { ...found, kind: ref.kind }] as const];
    }),
  );
  return new Map(entries.flat() as [string, Secret | ConfigMap][]);
}

/** The names of the Secrets that are wished for. */
export function wishedNames(wishes: Wishes): readonly SecretName[] {
  return USES.flatMap((use) => {
    const wish = wishes[use];
    return wish.kind === "desired"
      ? [{ namespace: wish.secret.namespace, name: wish.secret.name }]
      : [];
  });
}

const placeOf = ({ namespace, name }: SecretName): string => `${namespace}/${name}`;

/** The Secrets whose content matters: wished for, referred to, or not superseded. */
export function namesToRead(
  hapi: HostedAPIServer,
  marked: readonly PartialObjectMetadata[],
  wished: readonly SecretName[],
): readonly SecretName[] {
  const namespace = hapi.status?.gatewayRef?.namespace;
  const current = USES.flatMap((use) => currentName(hapi, use) ?? []);
  const living = marked.filter(
    ({ metadata }) => metadata.annotations?.[ANNOTATION_SUPERSEDED_AT] === undefined,
  );
  const all = [
    ...wished,
    ...(namespace === undefined ? [] : current.map((name) => ({ namespace, name }))),
    ...living.map(({ metadata }) => ({
      namespace: metadata.namespace ?? "",
      name: metadata.name,
    })),
  ];
  return [...new Map(all.map((each) => [placeOf(each), each])).values()];
}

/** What is known of Secrets without reading them. */
export interface KnownSecrets {
  /** Metadata of the HostedAPIServer's own. */
  readonly marked: readonly PartialObjectMetadata[];
  /** `namespace/name` → as it was read or written since the sources were read. */
  readonly seen: ReadonlyMap<string, Secret>;
}

/** Reads Secrets by name, and adds what is known of the others by their metadata. */
export async function readSecrets(
  client: KubernetesClient,
  names: readonly SecretName[],
  { marked, seen }: KnownSecrets,
): Promise<readonly ObservedSecret[]> {
  const read = await Promise.all(
    names.map(
      async (name) =>
        seen.get(placeOf(name)) ??
        client.get<Secret>({ apiVersion: "v1", kind: "Secret", ...name }),
    ),
  );
  const places = new Set(names.map(placeOf));
  const others = marked.filter((secret) => !places.has(keyOf(secret)));
  return [...read.filter((secret) => secret !== undefined), ...others];
}
