import { uniqBy } from "ramda";
import type {
  CABundleRef,
  CertificatesSpec,
  HostedAPIServer,
  IssuerRef,
  KeyPairRef,
} from "../../lib/api";
import {
  allowsClientAuth,
  keyMatchesCertificate,
  parseCertificates,
  parsePrivateKey,
  signingKeyType,
  toBundle,
  validityAt,
  type Bundle,
  type Certificate,
} from "../../lib/domain/certificates";
import { formatTime } from "../../lib/domain/conditions";
import { certificateCoversHost } from "../../lib/domain/hosts";
import {
  bundleSource,
  keyPairSource,
  readText,
  sourceKey,
  type SourceRef,
  type Sources,
} from "./sources";

/** Why a source can't be used, in CamelCase for programs. */
export type ProblemReason =
  | "SecretNotFound"
  | "ConfigMapNotFound"
  | "KeyNotFound"
  | "InvalidCertificate"
  | "InvalidPrivateKey"
  | "KeyMismatch"
  | "Expired"
  | "NotYetValid"
  | "HostNotCovered"
  | "NotACA"
  | "ClientAuthMissing"
  | "UnsupportedKey"
  | "TooLarge"
  | "InvalidSpec";

/** Why a source can't be used, for people: names objects and keys, never what they hold. */
export interface Problem {
  readonly reason: ProblemReason;
  readonly message: string;
  readonly ref?: SourceRef;
  /** When it will have passed by itself. */
  readonly endsAtMs?: number;
}

/** A certificate chain and its key, as PEM. */
export interface KeyPair {
  readonly leaf: Certificate;
  /** The leaf first. */
  readonly chainPem: string;
  readonly privateKeyPem: string;
}

/** The front-proxy CA. */
export interface Issuer {
  readonly certificate: Certificate;
  readonly privateKeyPem: string;
  readonly commonName: string;
}

/** Who the gateway is to the API servers. */
export type ProxyClient =
  | { readonly kind: "issue"; readonly issuer: Issuer }
  | { readonly kind: "given"; readonly pair: KeyPair };

/** One thing that was asked for: resolved, refused, or not asked for at all. */
export type Resolved<T> =
  | { readonly kind: "resolved"; readonly value: T }
  | { readonly kind: "refused"; readonly problem: Problem }
  | { readonly kind: "absent" };

/** Everything that `spec.certificates` asks for. */
export interface Resolution {
  readonly server: Resolved<KeyPair>;
  readonly serverCA: Resolved<Bundle>;
  readonly clientCA: Resolved<Bundle>;
  readonly proxyClient: Resolved<ProxyClient>;
}

/** What to resolve, by what, and when. */
export interface ResolveInput {
  readonly hapi: HostedAPIServer;
  readonly sources: Sources;
  readonly nowMs: number;
}

/** A Secret holds at most 1 MiB of values. @see https://kubernetes.io/docs/concepts/configuration/secret/ */
const MAX_SECRET_BYTES = 1_048_576;
export const DEFAULT_COMMON_NAME = "system:istio-gateway";

/** The problems of a resolution, once each, in the order of the spec. */
export function problemsOf(resolution: Resolution): readonly Problem[] {
  const { server, serverCA, clientCA, proxyClient } = resolution;
  const problems = [server, serverCA, clientCA, proxyClient].flatMap((part) =>
    part.kind === "refused" ? [part.problem] : [],
  );
  return uniqBy(({ message }) => message, problems);
}

/**
 * Reads, parses and checks everything that `spec.certificates` names. Modifies and throws nothing.
 * @returns Part by part, so that one bad source does not stop another one's rotation.
 */
export function resolve(input: ResolveInput): Resolution {
  const { certificates = {} } = input.hapi.spec;
  const { server, serverCA, clientCA, proxyClient } = certificates;
  const incomplete = findSpecProblem(certificates);
  if (incomplete !== undefined) return refuseAll(incomplete);
  return limitSizes({
    server: optional(server, (ref) => resolveServer(input, ref)),
    serverCA: optional(serverCA, (ref) => resolveBundle(input, ref)),
    clientCA: optional(clientCA, (ref) => resolveBundle(input, ref)),
    proxyClient: optional(proxyClient, (ref) => resolveProxyClient(input, ref)),
  });
}

type Outcome<T> = Exclude<Resolved<T>, { kind: "absent" }>;

const ok = <T>(value: T): Outcome<T> => ({ kind: "resolved", value });
const refuse = (problem: Problem): Outcome<never> => ({ kind: "refused", problem });

function optional<Ref, T>(ref: Ref | undefined, run: (ref: Ref) => Outcome<T>): Resolved<T> {
  return ref === undefined ? { kind: "absent" } : run(ref);
}

// The CRD's CEL rules say the same; an API server that was given another CRD does not.
function findSpecProblem(spec: CertificatesSpec): Problem | undefined {
  const invalid = (message: string): Problem => ({ reason: "InvalidSpec", message });
  const { server, serverCA, clientCA, proxyClient } = spec;
  if ((server === undefined) !== (serverCA === undefined)) {
    return invalid("certificates.server and certificates.serverCA go together; give both.");
  }
  if ((clientCA === undefined) !== (proxyClient === undefined)) {
    return invalid("certificates.clientCA and certificates.proxyClient go together; give both.");
  }
  if (clientCA !== undefined && server === undefined) {
    return invalid("certificates.clientCA needs certificates.server and certificates.serverCA.");
  }
  if (
    proxyClient !== undefined &&
    (proxyClient.issuer === undefined) === (proxyClient.certificate === undefined)
  ) {
    return invalid("certificates.proxyClient needs either issuer or certificate.");
  }
  const bundles = [serverCA, clientCA].filter((ref) => ref !== undefined);
  const isAmbiguous = bundles.some(
    ({ secretName, configMapName }) => (secretName === undefined) === (configMapName === undefined),
  );
  return isAmbiguous ? invalid("A CA bundle needs either secretName or configMapName.") : undefined;
}

function refuseAll(problem: Problem): Resolution {
  const refused = refuse(problem);
  return { server: refused, serverCA: refused, clientCA: refused, proxyClient: refused };
}

const describe = (ref: SourceRef, key?: string): string =>
  `${ref.kind} ${ref.namespace}/${ref.name}${key === undefined ? "" : `, key ${key}`}`;

interface Location {
  readonly ref: SourceRef;
  readonly key: string;
}

function readSource(input: ResolveInput, { ref, key }: Location): Outcome<string> {
  const source = input.sources.get(sourceKey(ref));
  if (source === undefined) {
    return refuse({
      reason: ref.kind === "Secret" ? "SecretNotFound" : "ConfigMapNotFound",
      message: `${describe(ref)} does not exist; create it.`,
      ref,
    });
  }
  const text = readText(source, key);
  if (text === undefined || text.trim() === "") {
    const fault = text === undefined ? "does not exist; add it" : "is empty; fill it";
    return refuse({
      reason: "KeyNotFound",
      message: `${describe(ref, key)} ${fault}.`,
      ref,
    });
  }
  return ok(text);
}

function readCertificates(
  input: ResolveInput,
  at: Location,
): Outcome<readonly [Certificate, ...Certificate[]]> {
  const text = readSource(input, at);
  if (text.kind === "refused") return text;
  const parsed = parseCertificates(text.value);
  if (parsed.kind === "parsed") return ok(parsed.certificates);
  const message = `${describe(at.ref, at.key)} ${parsed.message}; put a PEM certificate there.`;
  return refuse({ reason: "InvalidCertificate", message, ref: at.ref });
}

interface PairLocation {
  readonly ref: SourceRef;
  readonly certificateKey: string;
  readonly privateKeyKey: string;
}

interface ParsedPair {
  readonly certificates: readonly [Certificate, ...Certificate[]];
  readonly matching: Certificate;
  readonly key: ReturnType<typeof parsePrivateKey> & { kind: "parsed" };
}

/** A certificate and its key from one object, so that they belong together; `matching` is the one of the key. */
function readPair(input: ResolveInput, at: PairLocation): Outcome<ParsedPair> {
  const { ref } = at;
  const certificates = readCertificates(input, { ref, key: at.certificateKey });
  if (certificates.kind === "refused") return certificates;
  const text = readSource(input, { ref, key: at.privateKeyKey });
  if (text.kind === "refused") return text;
  const key = parsePrivateKey(text.value);
  if (key.kind === "malformed") {
    const message = `${describe(ref, at.privateKeyKey)} ${key.message}; put a PEM private key there.`;
    return refuse({ reason: "InvalidPrivateKey", message, ref });
  }
  const matching = certificates.value.find((each) => keyMatchesCertificate(key.key, each));
  if (matching === undefined) {
    const message = `${describe(ref)}: ${at.privateKeyKey} is not the private key of ${at.certificateKey}; put a matching pair there.`;
    return refuse({ reason: "KeyMismatch", message, ref });
  }
  return ok({ certificates: certificates.value, matching, key });
}

function checkValidity(certificate: Certificate, at: Location, nowMs: number): Problem | undefined {
  const where = describe(at.ref, at.key);
  switch (validityAt(certificate, nowMs)) {
    case "valid":
      return undefined;
    case "expired": {
      const message = `${where}: the certificate expired at ${formatTime(certificate.notAfterMs)}; renew it.`;
      return { reason: "Expired", message, ref: at.ref };
    }
    case "notYetValid": {
      const start = formatTime(certificate.notBeforeMs);
      const message = `${where}: the certificate is valid from ${start} on; wait, or renew it.`;
      return { reason: "NotYetValid", message, ref: at.ref, endsAtMs: certificate.notBeforeMs };
    }
  }
}

/** A chain that is presented in TLS: its first certificate is its holder's own. */
function resolveChain(input: ResolveInput, at: PairLocation): Outcome<KeyPair> {
  const pair = readPair(input, at);
  if (pair.kind === "refused") return pair;
  const { certificates, matching, key } = pair.value;
  const [leaf] = certificates;
  if (leaf.sha256 !== matching.sha256) {
    const message = `${describe(at.ref, at.certificateKey)}: the chain is out of order; put the certificate of ${at.privateKeyKey} first.`;
    return refuse({ reason: "KeyMismatch", message, ref: at.ref });
  }
  const outdated = checkValidity(leaf, { ref: at.ref, key: at.certificateKey }, input.nowMs);
  if (outdated !== undefined) return refuse(outdated);
  const chainPem = certificates.map(({ pem }) => pem).join("");
  return ok({ leaf, chainPem, privateKeyPem: key.pem });
}

function locatePair(input: ResolveInput, ref: KeyPairRef): PairLocation {
  return {
    ref: keyPairSource(input.hapi.metadata.namespace ?? "", ref),
    certificateKey: ref.certificateKey ?? "tls.crt",
    privateKeyKey: ref.privateKeyKey ?? "tls.key",
  };
}

function resolveServer(input: ResolveInput, pairRef: KeyPairRef): Outcome<KeyPair> {
  const at = locatePair(input, pairRef);
  const chain = resolveChain(input, at);
  if (chain.kind === "refused") return chain;
  const { dnsNames } = chain.value.leaf;
  const uncovered = input.hapi.spec.hosts.filter(
    (host) => !dnsNames.some((pattern) => certificateCoversHost(pattern, host)),
  );
  if (uncovered.length === 0) return chain;
  const names = dnsNames.length === 0 ? "no DNS names" : dnsNames.slice(0, 16).join(", ");
  const message = `${describe(at.ref, at.certificateKey)} does not cover ${uncovered.join(", ")} (it names ${names}); issue it for every host of spec.hosts.`;
  return refuse({ reason: "HostNotCovered", message, ref: at.ref });
}

function resolveBundle(input: ResolveInput, bundleRef: CABundleRef): Outcome<Bundle> {
  const ref = bundleSource(input.hapi.metadata.namespace ?? "", bundleRef);
  const at: Location = { ref, key: bundleRef.key ?? "ca.crt" };
  const certificates = readCertificates(input, at);
  if (certificates.kind === "refused") return certificates;
  const bundle = toBundle(certificates.value);
  if (bundle === undefined) {
    const message = `${describe(ref, at.key)} holds no CA certificate (basicConstraints CA:TRUE); put the CA there.`;
    return refuse({ reason: "NotACA", message, ref });
  }
  const problems = bundle.authorities.map((ca) => checkValidity(ca, at, input.nowMs));
  const usable = problems.includes(undefined);
  const notYetValid = problems.find((problem) => problem?.reason === "NotYetValid");
  if (usable) return ok(bundle);
  if (notYetValid !== undefined) return refuse(notYetValid);
  const message = `${describe(ref, at.key)} holds expired CA certificates only; add the current one.`;
  return refuse({ reason: "Expired", message, ref });
}

function resolveProxyClient(
  input: ResolveInput,
  spec: NonNullable<CertificatesSpec["proxyClient"]>,
): Outcome<ProxyClient> {
  if (spec.issuer !== undefined) return resolveIssuer(input, spec.issuer);
  if (spec.certificate !== undefined) return resolveGiven(input, spec.certificate);
  return refuse({ reason: "InvalidSpec", message: "certificates.proxyClient is empty." });
}

function resolveIssuer(input: ResolveInput, issuer: IssuerRef): Outcome<ProxyClient> {
  const at: PairLocation = {
    ref: keyPairSource(input.hapi.metadata.namespace ?? "", issuer),
    certificateKey: issuer.certificateKey ?? "ca.crt",
    privateKeyKey: issuer.privateKeyKey ?? "ca.key",
  };
  const pair = readPair(input, at);
  if (pair.kind === "refused") return pair;
  // While a CA is rotated the source may hold the old one too: the one of the key signs.
  const { matching: certificate, key } = pair.value;
  const where = describe(at.ref, at.certificateKey);
  if (!certificate.isCA) {
    const message = `${where} is no CA certificate (basicConstraints CA:TRUE); name the front-proxy CA.`;
    return refuse({ reason: "NotACA", message, ref: at.ref });
  }
  if (signingKeyType(key.key) === undefined) {
    const message = `${describe(at.ref, at.privateKeyKey)}: fairlead signs with RSA and ECDSA (P-256, P-384, P-521) keys only; use such a CA or certificates.proxyClient.certificate.`;
    return refuse({ reason: "UnsupportedKey", message, ref: at.ref });
  }
  const outdated = checkValidity(certificate, { ref: at.ref, key: at.certificateKey }, input.nowMs);
  if (outdated !== undefined) return refuse(outdated);
  const commonName = issuer.commonName ?? DEFAULT_COMMON_NAME;
  return ok({ kind: "issue", issuer: { certificate, privateKeyPem: key.pem, commonName } });
}

function resolveGiven(input: ResolveInput, pairRef: KeyPairRef): Outcome<ProxyClient> {
  const at = locatePair(input, pairRef);
  const chain = resolveChain(input, at);
  if (chain.kind === "refused") return chain;
  if (!allowsClientAuth(chain.value.leaf)) {
    const message = `${describe(at.ref, at.certificateKey)} has no extended key usage clientAuth; issue it as a client certificate.`;
    return refuse({ reason: "ClientAuthMissing", message, ref: at.ref });
  }
  return ok({ kind: "given", pair: chain.value });
}

const pairBytes = (pair: KeyPair): number =>
  Buffer.byteLength(pair.chainPem) + Buffer.byteLength(pair.privateKeyPem);

const bundleBytes = (bundle: Resolved<Bundle>): number =>
  bundle.kind === "resolved" ? Buffer.byteLength(bundle.value.pem) : 0;

/** What each source may hold can still be too much for the one Secret that they come together in. */
function limitSizes(resolution: Resolution): Resolution {
  const { server, serverCA, clientCA, proxyClient } = resolution;
  const tooLarge = (what: string): Outcome<never> =>
    refuse({
      reason: "TooLarge",
      message: `${what} are more than the 1 MiB that a Secret holds; leave out what is not needed.`,
    });
  const serverBytes = server.kind === "resolved" ? pairBytes(server.value) : 0;
  const given = proxyClient.kind === "resolved" && proxyClient.value.kind === "given";
  const clientBytes = given ? pairBytes(proxyClient.value.pair) : 0;
  return {
    server,
    serverCA:
      clientBytes + bundleBytes(serverCA) > MAX_SECRET_BYTES - ISSUED_BYTES
        ? tooLarge("The proxy client certificate and certificates.serverCA together")
        : serverCA,
    clientCA:
      serverBytes + bundleBytes(clientCA) > MAX_SECRET_BYTES
        ? tooLarge("certificates.server and certificates.clientCA together")
        : clientCA,
    proxyClient,
  };
}

/** Room for a certificate that fairlead issues, and its key. */
const ISSUED_BYTES = 8_192;
