import "reflect-metadata";
import { createPrivateKey, KeyObject, randomBytes, webcrypto } from "node:crypto";
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  cryptoProvider,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  Pkcs10CertificateRequestGenerator,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from "@peculiar/x509";

type CryptoKey = webcrypto.CryptoKey;

cryptoProvider.set(webcrypto);

/** A certificate and its private key (PKCS #8), both as PEM. */
export interface KeyPair {
  readonly certificatePem: string;
  readonly privateKeyPem: string;
}

export type KeyAlgorithm = "ecdsa" | "rsa" | "rsa3072";

interface Validity {
  /** Default: five minutes ago, for clocks that differ. */
  readonly notBefore?: Date;
  /** Default: in ten years for a CA, in one year for a leaf. */
  readonly notAfter?: Date;
}

/** What a certificate authority is made from. */
export interface AuthorityRequest extends Validity {
  readonly commonName: string;
  /** Default "ecdsa" (P-256); "rsa" has 2048 bits. */
  readonly algorithm?: KeyAlgorithm;
  /** As hexadecimal digits; default: a random one. */
  readonly serialNumber?: string;
  /** How many authorities may be below it; default: any number. */
  readonly pathLength?: number;
  readonly dnsNames?: readonly string[];
  /** "leaf" leaves the CA flag out, for tests of what must be refused. Default "authority". */
  readonly constraint?: "authority" | "leaf";
}

/** What a leaf certificate is made from. */
export interface LeafRequest extends Validity {
  readonly commonName: string;
  /** One O each, in this order: Kubernetes reads them as groups. */
  readonly organizations?: readonly string[];
  readonly dnsNames?: readonly string[];
  readonly ipAddresses?: readonly string[];
  /** May be empty: a leaf without extended key usage. */
  readonly usages: readonly ("server" | "client")[];
  readonly algorithm?: KeyAlgorithm;
}

const dayMs = 24 * 60 * 60 * 1000;
const clockSkewMs = 5 * 60 * 1000;

/**
 * Makes a self-signed certificate authority.
 * @throws when the dates or names cannot be encoded.
 */
export async function createCA(request: AuthorityRequest): Promise<KeyPair> {
  const keys = await generateKeys(request.algorithm);
  const isAuthority = request.constraint !== "leaf";
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: request.serialNumber ?? randomSerialNumber(),
    name: [{ CN: [request.commonName] }],
    ...validity(request, 3650),
    keys,
    signingAlgorithm: signatureOf(keys.privateKey),
    extensions: [
      new BasicConstraintsExtension(isAuthority, request.pathLength, true),
      ...nameExtensions(request),
      new KeyUsagesExtension(
        isAuthority
          ? KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign | KeyUsageFlags.digitalSignature
          : KeyUsageFlags.digitalSignature,
        true,
      ),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificatePem: pem(certificate), privateKeyPem: exportKey(keys.privateKey) };
}

/**
 * Issues a leaf certificate with a new key. The authority may be any pair of certificate and key,
 * a bad one included: nothing is checked here.
 * @throws when the authority's PEM does not parse.
 */
export async function issue(authority: KeyPair, request: LeafRequest): Promise<KeyPair> {
  const keys = await generateKeys(request.algorithm);
  const signer = new X509Certificate(authority.certificatePem);
  const signingKey = await importKey(authority.privateKeyPem);
  const certificate = await X509CertificateGenerator.create({
    serialNumber: randomSerialNumber(),
    subject: [
      ...(request.organizations ?? []).map((organization) => ({ O: [organization] })),
      { CN: [request.commonName] },
    ],
    issuer: signer.subjectName,
    ...validity(request, 365),
    publicKey: keys.publicKey,
    signingKey,
    signingAlgorithm: signatureOf(signingKey),
    extensions: [
      ...leafExtensions(request),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
      await AuthorityKeyIdentifierExtension.create(signer.publicKey),
    ],
  });
  return { certificatePem: pem(certificate), privateKeyPem: exportKey(keys.privateKey) };
}

/** A PKCS #10 request, for clusters whose CA key is not ours; `requestPem` goes into the CSR. */
export async function createSigningRequest(
  subject: Pick<LeafRequest, "commonName" | "organizations">,
): Promise<{ readonly requestPem: string; readonly privateKeyPem: string }> {
  const keys = await generateKeys("ecdsa");
  const request = await Pkcs10CertificateRequestGenerator.create({
    name: [
      ...(subject.organizations ?? []).map((organization) => ({ O: [organization] })),
      { CN: [subject.commonName] },
    ],
    keys,
    signingAlgorithm: signatureOf(keys.privateKey),
  });
  return {
    requestPem: `${request.toString("pem")}\n`,
    privateKeyPem: exportKey(keys.privateKey),
  };
}

function nameExtensions(request: Pick<LeafRequest, "dnsNames" | "ipAddresses">): Extension[] {
  const names = [
    ...(request.dnsNames ?? []).map((value) => ({ type: "dns" as const, value })),
    ...(request.ipAddresses ?? []).map((value) => ({ type: "ip" as const, value })),
  ];
  return names.length > 0 ? [new SubjectAlternativeNameExtension(names)] : [];
}

function leafExtensions(request: LeafRequest): Extension[] {
  const usages = request.usages.map((usage) =>
    usage === "server" ? ExtendedKeyUsage.serverAuth : ExtendedKeyUsage.clientAuth,
  );
  return [
    new BasicConstraintsExtension(false, undefined, true),
    new KeyUsagesExtension(KeyUsageFlags.digitalSignature | KeyUsageFlags.keyEncipherment, true),
    ...(usages.length > 0 ? [new ExtendedKeyUsageExtension(usages)] : []),
    ...nameExtensions(request),
  ];
}

function validity(request: Validity, defaultDays: number): { notBefore: Date; notAfter: Date } {
  const nowMs = Date.now();
  return {
    notBefore: request.notBefore ?? new Date(nowMs - clockSkewMs),
    notAfter: request.notAfter ?? new Date(nowMs + defaultDays * dayMs),
  };
}

const ecdsaKey = { name: "ECDSA", namedCurve: "P-256" } as const;
const rsaKey = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" } as const;

async function generateKeys(algorithm: KeyAlgorithm = "ecdsa"): Promise<webcrypto.CryptoKeyPair> {
  const parameters =
    algorithm === "ecdsa"
      ? ecdsaKey
      : {
          ...rsaKey,
          modulusLength: algorithm === "rsa" ? 2048 : 3072,
          publicExponent: new Uint8Array([1, 0, 1]),
        };
  return webcrypto.subtle.generateKey(parameters, true, ["sign", "verify"]);
}

async function importKey(privateKeyPem: string): Promise<CryptoKey> {
  const key = createPrivateKey(privateKeyPem);
  const der = key.export({ type: "pkcs8", format: "der" });
  const parameters = key.asymmetricKeyType === "rsa" ? rsaKey : ecdsaKey;
  return webcrypto.subtle.importKey("pkcs8", der, parameters, false, ["sign"]);
}

function exportKey(key: CryptoKey): string {
  return KeyObject.from(key).export({ type: "pkcs8", format: "pem" }).toString();
}

function signatureOf(key: CryptoKey): { name: string; hash: string } {
  return { name: key.algorithm.name, hash: "SHA-256" };
}

function pem(certificate: X509Certificate): string {
  return `${certificate.toString("pem")}\n`;
}

// Positive (first bit 0) and never zero, as RFC 5280 demands.
function randomSerialNumber(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes.toString("hex");
}
