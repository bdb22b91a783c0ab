import type { CABundleRef, HostedAPIServer, KeyPairRef, KubernetesObject } from "../../lib/api";

/** A Secret as it is read: values in base64. */
export interface Secret extends KubernetesObject {
  readonly kind: "Secret";
  readonly type?: string;
  readonly immutable?: boolean;
  readonly data?: Readonly<Record<string, string>>;
}

/** A ConfigMap as it is read. */
export interface ConfigMap extends KubernetesObject {
  readonly kind: "ConfigMap";
  readonly data?: Readonly<Record<string, string>>;
  /** Values in base64. */
  readonly binaryData?: Readonly<Record<string, string>>;
}

/** The object that a certificate or CA comes from; in the control-plane namespace. */
export interface SourceRef {
  readonly kind: "Secret" | "ConfigMap";
  readonly namespace: string;
  readonly name: string;
}

/** What was read, by `sourceKey`; what does not exist is not in it. */
export type Sources = ReadonlyMap<string, Secret | ConfigMap>;

/** A key for maps: `Secret/namespace/name`. */
export function sourceKey({ kind, namespace, name }: SourceRef): string {
  return `${kind}/${namespace}/${name}`;
}

/** The source of a certificate and its key. */
export function keyPairSource(namespace: string, ref: Pick<KeyPairRef, "secretName">): SourceRef {
  return { kind: "Secret", namespace, name: ref.secretName };
}

/** The source of a CA bundle. */
export function bundleSource(namespace: string, ref: CABundleRef): SourceRef {
  return ref.configMapName === undefined
    ? { kind: "Secret", namespace, name: ref.secretName ?? "" }
    : { kind: "ConfigMap", namespace, name: ref.configMapName };
}

/** Every object that a HostedAPIServer refers to for its certificates, once each, sorted. */
export function sourceRefs(hapi: HostedAPIServer): readonly SourceRef[] {
  const { certificates } = hapi.spec;
  const namespace = hapi.metadata.namespace ?? "";
  const pairs = [
    certificates?.server,
    certificates?.proxyClient?.issuer,
    certificates?.proxyClient?.certificate,
  ];
  const bundles = [certificates?.serverCA, certificates?.clientCA];
  const refs = [
    ...pairs.flatMap((ref) => (ref === undefined ? [] : [keyPairSource(namespace, ref)])),
    ...bundles.flatMap((ref) => (ref === undefined ? [] : [bundleSource(namespace, ref)])),
  ];
  const unique = new Map(refs.map((ref) => [sourceKey(ref), ref]));
  return [...unique.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, ref]) => ref);
}

/**
 * The text under a key of a Secret or ConfigMap; undefined when the key is not there. Bytes that are no UTF-8 become
 * replacement characters, which no PEM parser takes.
 */
export function readText(source: Secret | ConfigMap, key: string): string | undefined {
  if (source.kind === "Secret") return decode(source.data?.[key]);
  return source.data?.[key] ?? decode(source.binaryData?.[key]);
}

function decode(base64: string | undefined): string | undefined {
  return base64 === undefined ? undefined : Buffer.from(base64, "base64").toString("utf8");
}
