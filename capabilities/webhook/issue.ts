// tsyringe, which @peculiar/x509 is built on, needs this polyfill before it is loaded.
import "reflect-metadata";
import { webcrypto } from "node:crypto";
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator,
} from "@peculiar/x509";
import { toCertificate } from "../../lib/domain/certificates";
import {
  generateKeys,
  randomSerialNumber,
  SIGNING_ALGORITHM,
  toCertificatePem,
  toPrivateKeyPem,
} from "../../lib/x509/issuing";
import type { Candidate } from "./observed";

/** What a serving certificate is made from. */
export interface ServingRequest {
  /** Never empty; the first becomes the common name, too. */
  readonly dnsNames: readonly string[];
  readonly nowMs: number;
  readonly validityMs: number;
}

/** Clocks differ: what is new must be valid where it is still a little earlier. */
const MAX_SKEW_MS = 300_000;
/** @see https://www.rfc-editor.org/rfc/rfc5280#appendix-A.1 (ub-common-name) */
const MAX_COMMON_NAME_LENGTH = 64;

// A backdated start must not move two thirds of a short validity into the past.
function validityOf({ nowMs, validityMs }: ServingRequest): { notBefore: Date; notAfter: Date } {
  const skewMs = Math.min(MAX_SKEW_MS, validityMs / 20);
  return { notBefore: new Date(nowMs - skewMs), notAfter: new Date(nowMs + validityMs) };
}

async function authorityExtensions(publicKey: webcrypto.CryptoKey): Promise<Extension[]> {
  return [
    new BasicConstraintsExtension(true, 0, true),
    new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
    await SubjectKeyIdentifierExtension.create(publicKey, false, webcrypto),
  ];
}

async function leafExtensions(
  request: ServingRequest,
  keys: { readonly leaf: webcrypto.CryptoKey; readonly authority: webcrypto.CryptoKey },
): Promise<Extension[]> {
  return [
    new BasicConstraintsExtension(false, undefined, true),
    new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
    new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
    new SubjectAlternativeNameExtension(
      request.dnsNames.map((value) => ({ type: "dns" as const, value })),
    ),
    await SubjectKeyIdentifierExtension.create(keys.leaf, false, webcrypto),
    await AuthorityKeyIdentifierExtension.create(keys.authority, false, webcrypto),
  ];
}

/**
 * Makes a serving certificate with a CA of its own, both with new ECDSA keys and the same validity. The CA's key signs
 * this one certificate and is kept nowhere.
 */
export async function issueServingCertificate(request: ServingRequest): Promise<Candidate> {
  const authorityKeys = await generateKeys();
  const leafKeys = await generateKeys();
  const validity = validityOf(request);
  const serialNumber = randomSerialNumber();
  // A name of its own: verifiers look for an issuer by its name.
  const name = [{ CN: [`fairlead-webhook-ca-${serialNumber.slice(0, 8)}`] }];
  const signing = { signingKey: authorityKeys.privateKey, signingAlgorithm: SIGNING_ALGORITHM };
  const authority = await X509CertificateGenerator.create(
    {
      ...validity,
      ...signing,
      serialNumber,
      subject: name,
      issuer: name,
      publicKey: authorityKeys.publicKey,
      extensions: await authorityExtensions(authorityKeys.publicKey),
    },
    webcrypto,
  );
  const [commonName = ""] = request.dnsNames;
  const leaf = await X509CertificateGenerator.create(
    {
      ...validity,
      ...signing,
      serialNumber: randomSerialNumber(),
      subject: [{ CN: [commonName.slice(0, MAX_COMMON_NAME_LENGTH)] }],
      issuer: authority.subjectName,
      publicKey: leafKeys.publicKey,
      extensions: await leafExtensions(request, {
        leaf: leafKeys.publicKey,
        authority: authorityKeys.publicKey,
      }),
    },
    webcrypto,
  );
  return {
    authority: toCertificate(toCertificatePem(authority)),
    certificate: toCertificate(toCertificatePem(leaf)),
    privateKeyPem: await toPrivateKeyPem(leafKeys.privateKey),
  };
}
