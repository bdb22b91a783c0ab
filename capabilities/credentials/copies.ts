import {
  isIssuedBy,
  keyMatchesCertificate,
  parseCertificates,
  parsePrivateKey,
  validityAt,
  type Certificate,
} from "../../lib/domain/certificates";
import { ANNOTATION_SUPERSEDED_AT } from "../../lib/domain/names";
import { currentName, findSecret, isOwnSecret, withContent, type Observed } from "./observed";
import { encode, readMark, type DesiredSecret, type IssueRequest, type Use } from "./secrets";
import { readText, type Secret } from "./sources";

/** What a derived Secret holds, parsed. */
export interface CopyContent {
  /** Undefined where it holds CAs only. */
  readonly leaf: Certificate | undefined;
  readonly hasAuthorities: boolean;
}

/** The copy that goes on serving while a source can't be used. */
export interface LastGood {
  readonly name: string;
  readonly content: CopyContent | undefined;
  readonly state: "good" | "expired" | "damaged";
}

function parseLeaf(secret: Secret): Certificate | undefined {
  const parsed = parseCertificates(readText(secret, "cert") ?? "");
  const key = parsePrivateKey(readText(secret, "key") ?? "");
  if (parsed.kind === "malformed" || key.kind === "malformed") return undefined;
  const [leaf] = parsed.certificates;
  return keyMatchesCertificate(key.key, leaf) ? leaf : undefined;
}

/** Parses a derived Secret; undefined when it is damaged: something does not parse or belong together. */
export function parseCopy(secret: Secret, use: Use): CopyContent | undefined {
  const keys = Object.keys(secret.data ?? {});
  const hasPair = keys.includes("cert") || keys.includes("key") || use === "server";
  const leaf = hasPair ? parseLeaf(secret) : undefined;
  if (hasPair && leaf === undefined) return undefined;
  const hasAuthorities = keys.includes("cacert");
  const authorities = parseCertificates(readText(secret, "cacert") ?? "");
  if (hasAuthorities && authorities.kind === "malformed") return undefined;
  return use === "proxy-client" && !hasAuthorities ? undefined : { leaf, hasAuthorities };
}

/**
 * The last good copy for a use in a namespace: the one that status names, or, should status have been lost, the newest
 * that is not superseded.
 */
export function findLastGood(
  observed: Observed,
  namespace: string,
  use: Use,
): LastGood | undefined {
  const named = findSecret(observed, namespace, currentName(observed.hapi, use) ?? "");
  const candidates = observed.secrets.filter(
    ({ metadata }) =>
      metadata.namespace === namespace &&
      metadata.annotations?.[ANNOTATION_SUPERSEDED_AT] === undefined,
  );
  const newestFirst = [...candidates].sort((a, b) =>
    (a.metadata.creationTimestamp ?? "") > (b.metadata.creationTimestamp ?? "") ? -1 : 1,
  );
  const found = [named, ...newestFirst].find(
    (secret) =>
      secret !== undefined && isOwnSecret(secret, observed) && readMark(secret)?.use === use,
  );
  const secret = withContent(found);
  if (secret === undefined) return undefined;
  const { name } = secret.metadata;
  const content = parseCopy(secret, use);
  if (content === undefined) return { name, content, state: "damaged" };
  const { leaf } = content;
  const expired = leaf !== undefined && validityAt(leaf, observed.nowMs) === "expired";
  return { name, content, state: expired ? "expired" : "good" };
}

function hasExactly(secret: Secret, data: Readonly<Record<string, string>>): boolean {
  const keys = Object.keys(secret.data ?? {});
  return (
    keys.length === Object.keys(data).length &&
    keys.every((key) => secret.data?.[key] === data[key])
  );
}

function isIssuedFor(secret: Secret, request: IssueRequest): boolean {
  const leaf = parseLeaf(secret);
  return (
    leaf !== undefined &&
    leaf.notAfterMs === request.notAfterMs &&
    isIssuedBy(leaf, request.issuer.certificate)
  );
}

/** Whether a Secret holds exactly what it should; an issued certificate is judged by what it was to be issued for. */
export function isAsDesired(secret: Secret, desired: DesiredSecret): boolean {
  if ((secret.immutable === true) !== desired.immutable) return false;
  const { content } = desired;
  if (content.kind === "known") return hasExactly(secret, encode(content.values));
  const { cert = "", key = "" } = secret.data ?? {};
  const expected = { cert, key, ...encode({ cacert: content.bundle.pem }) };
  return hasExactly(secret, expected) && isIssuedFor(secret, content.request);
}
