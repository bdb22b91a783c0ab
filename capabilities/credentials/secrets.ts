import { createHash } from "node:crypto";
import type { HostedAPIServer, KubernetesObject, ObjectMeta, OwnerReference } from "../../lib/api";
import type { Bundle } from "../../lib/domain/certificates";
import {
  LABEL_MANAGED_BY,
  LABEL_NAME,
  LABEL_NAMESPACE,
  LABEL_USE,
  MANAGED_BY,
  isManaged,
} from "../../lib/domain/names";
import type { Issuer, KeyPair, ProxyClient } from "./resolve";
import type { Secret } from "./sources";

/** What a derived Secret is for; the value of label `fairlead.dev/use`. */
export type Use = "server" | "proxy-client";
export const USES: readonly Use[] = ["server", "proxy-client"];

/** A client certificate that is to be issued. */
export interface IssueRequest {
  readonly issuer: Issuer;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/** What a derived Secret holds: everything is known, or certificate and key are to be issued first. */
export type DesiredContent =
  | { readonly kind: "known"; readonly values: Readonly<Record<string, string>> }
  | { readonly kind: "issue"; readonly request: IssueRequest; readonly bundle: Bundle };

/** A Secret as it should be in the gateway namespace. */
export interface DesiredSecret {
  readonly use: Use;
  readonly namespace: string;
  readonly name: string;
  readonly immutable: boolean;
  readonly content: DesiredContent;
}

/** Where derived Secrets belong. */
export interface Belonging {
  readonly hapi: HostedAPIServer;
  /** The namespace of the gateway. */
  readonly namespace: string;
}

/** How long an issued certificate lives and when the next one is due. */
export interface IssuePeriod {
  /** Certificates live this long; the next one is issued after half of it. */
  readonly lifetimeMs: number;
  /** How far back a certificate's validity starts, for clocks that differ. */
  readonly clockSkewMs: number;
}

const HASH_LENGTH = 10;
const infixes: Readonly<Record<Use, string>> = { server: "tls", "proxy-client": "istio-mtls" };

function digest(...parts: readonly unknown[]): string {
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex");
}

function identity({ metadata }: HostedAPIServer): [namespace: string, name: string] {
  return [metadata.namespace ?? "", metadata.name];
}

/** `<namespace>-<name>-tls-<hash>` or `-istio-mtls-`; the hash covers namespace and name, for a-b/c is not a/b-c. */
function derivedName(hapi: HostedAPIServer, use: Use, inputs: readonly unknown[]): string {
  const hash = digest(use, ...identity(hapi), ...inputs).slice(0, HASH_LENGTH);
  return [...identity(hapi), infixes[use], hash].join("-");
}

/**
 * The server Secret. Its name depends on the client CA bundle only: a renewed certificate is updated in place, another
 * bundle is another Secret, so that connections of a removed CA end.
 */
export function desiredServerSecret(
  { hapi, namespace }: Belonging,
  pair: KeyPair,
  clientCA: Bundle | undefined,
): DesiredSecret {
  const values = { cert: pair.chainPem, key: pair.privateKeyPem };
  return {
    use: "server",
    namespace,
    name: derivedName(hapi, "server", [clientCA?.sha256 ?? null]),
    immutable: false,
    content: {
      kind: "known",
      values: clientCA === undefined ? values : { ...values, cacert: clientCA.pem },
    },
  };
}

/** What the proxy client Secret is made from. */
export interface ProxyClientInputs {
  readonly serverCA: Bundle;
  readonly proxyClient: ProxyClient | undefined;
  /** The start of the period, see `issuePeriodAt`. */
  readonly periodStartMs: number;
  readonly period: IssuePeriod;
}

/**
 * The proxy client Secret. It never changes: everything that it is made from is in its name, so that two watchers, or
 * one that was killed, come to the same name.
 */
export function desiredProxyClientSecret(
  { hapi, namespace }: Belonging,
  inputs: ProxyClientInputs,
): DesiredSecret {
  const { serverCA, proxyClient } = inputs;
  const base = { use: "proxy-client", namespace, immutable: true } as const;
  const name = (...parts: unknown[]): string =>
    derivedName(hapi, "proxy-client", [serverCA.sha256, ...parts]);
  if (proxyClient === undefined) {
    return { ...base, name: name(), content: { kind: "known", values: { cacert: serverCA.pem } } };
  }
  if (proxyClient.kind === "given") {
    const { chainPem: cert, privateKeyPem: key } = proxyClient.pair;
    const values = { cert, key, cacert: serverCA.pem };
    return { ...base, name: name(digest(cert)), content: { kind: "known", values } };
  }
  const { issuer } = proxyClient;
  const { sha256 } = issuer.certificate;
  const { periodStartMs } = inputs;
  const lifetime = inputs.period.lifetimeMs;
  return {
    ...base,
    name: name(sha256, issuer.commonName, lifetime, periodStartMs),
    content: { kind: "issue", request: issueRequest(issuer, inputs), bundle: serverCA },
  };
}

function issueRequest(issuer: Issuer, inputs: ProxyClientInputs): IssueRequest {
  const { periodStartMs, period } = inputs;
  // X.509 times are in seconds. A leaf that outlives its issuer would be refused all the same, later and less clearly.
  const endMs = Math.min(periodStartMs + period.lifetimeMs, issuer.certificate.notAfterMs);
  return {
    issuer,
    notBeforeMs: Math.floor((periodStartMs - period.clockSkewMs) / 1000) * 1000,
    notAfterMs: Math.floor(endMs / 1000) * 1000,
  };
}

/**
 * The period that a moment lies in: half a lifetime long, and shifted for each HostedAPIServer by what its name hashes
 * to, so that not all certificates are renewed at once. It depends on nothing that a restart would lose.
 */
export function issuePeriodAt(
  hapi: HostedAPIServer,
  { lifetimeMs }: IssuePeriod,
  nowMs: number,
): { readonly startMs: number; readonly endMs: number } {
  const lengthMs = Math.floor(lifetimeMs / 2);
  const phaseMs = parseInt(digest("phase", ...identity(hapi)).slice(0, HASH_LENGTH), 16) % lengthMs;
  const startMs = Math.floor((nowMs - phaseMs) / lengthMs) * lengthMs + phaseMs;
  return { startMs, endMs: startMs + lengthMs };
}

/** The labels of a derived Secret. */
export function derivedLabels(hapi: HostedAPIServer, use: Use): Readonly<Record<string, string>> {
  const [namespace, name] = identity(hapi);
  return {
    [LABEL_MANAGED_BY]: MANAGED_BY,
    [LABEL_NAMESPACE]: namespace,
    [LABEL_NAME]: name,
    [LABEL_USE]: use,
  };
}

/** The owner of a derived Secret: cluster-scoped, so valid across namespaces. */
export function ownedBy(namespace: ObjectMeta): OwnerReference {
  return {
    apiVersion: "v1",
    kind: "Namespace",
    name: namespace.name,
    uid: namespace.uid ?? "",
  };
}

/** Which HostedAPIServer a derived Secret says that it is for, and what for; undefined for any other Secret. */
export interface Mark {
  readonly namespace: string;
  readonly name: string;
  readonly use: Use;
}

/** Reads the labels that fairlead puts on derived Secrets. */
export function readMark(object: KubernetesObject): Mark | undefined {
  const labels = object.metadata.labels ?? {};
  const { [LABEL_NAMESPACE]: namespace, [LABEL_NAME]: name, [LABEL_USE]: value } = labels;
  const use = USES.find((each) => each === value);
  if (!isManaged(object)) return undefined;
  if (namespace === undefined || name === undefined || use === undefined) return undefined;
  return { namespace, name, use };
}

/** Who derived Secrets belong to. */
export interface Owner {
  readonly hapi: HostedAPIServer;
  /** Metadata of the control-plane Namespace; undefined when it is gone. */
  readonly namespace: ObjectMeta | undefined;
}

/**
 * Whether a Secret was made by fairlead for this HostedAPIServer: labels and owner agree. Anything else is somebody
 * else's and is never touched.
 */
export function isOwn(object: KubernetesObject, owner: Owner): boolean {
  const mark = readMark(object);
  const [namespace, name] = identity(owner.hapi);
  if (mark?.namespace !== namespace || mark.name !== name) return false;
  return (object.metadata.ownerReferences ?? []).some(
    (reference) =>
      reference.kind === "Namespace" &&
      reference.name === namespace &&
      (owner.namespace === undefined || reference.uid === owner.namespace.uid),
  );
}

/** The `data` of a Secret: values in base64. */
export function encode(values: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(values).map(([key, value]) => [key, Buffer.from(value).toString("base64")]),
  );
}

/** A derived Secret as it is created or replaced. */
export function toManifest(
  desired: DesiredSecret,
  owner: Owner,
  values: Readonly<Record<string, string>>,
): Secret {
  const { namespace, name, use } = desired;
  return {
    apiVersion: "v1",
    kind: "Secret",
    metadata: {
      name,
      namespace,
      labels: derivedLabels(owner.hapi, use),
      ...(owner.namespace === undefined ? {} : { ownerReferences: [ownedBy(owner.namespace)] }),
    },
    type: "Opaque",
    ...(desired.immutable ? { immutable: true } : {}),
    data: encode(values),
  };
}
