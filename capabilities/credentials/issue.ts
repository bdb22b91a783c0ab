// tsyringe, which @peculiar/x509 is built on, needs this polyfill before it is loaded.
import "reflect-metadata";
import { createPrivateKey, webcrypto } from "node:crypto";
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from "@peculiar/x509";
import { signingKeyType, type SigningKeyType } from "../../lib/domain/certificates";
import {
  generateKeys,
  randomSerialNumber,
  toCertificatePem,
  toPrivateKeyPem,
} from "../../lib/x509/issuing";
import type { IssueRequest } from "./secrets";

/** A certificate that was issued, and its new key (PKCS #8). */
export interface IssuedCertificate {
  readonly certificatePem: string;
  readonly privateKeyPem: string;
}

type ImportParameters = Parameters<typeof webcrypto.subtle.importKey>[2];
interface SigningAlgorithm {
  readonly name: string;
  readonly hash: string;
}

const ecdsa = (namedCurve: string): ImportParameters => ({ name: "ECDSA", namedCurve });

// A hash as strong as the curve: @see https://www.rfc-editor.org/rfc/rfc5758#section-3.2
const signatures: Readonly<
  Record<SigningKeyType, { readonly key: ImportParameters; readonly algorithm: SigningAlgorithm }>
> = {
  RSA: {
    key: { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" },
    algorithm: { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" },
  },
  "P-256": { key: ecdsa("P-256"), algorithm: { name: "ECDSA", hash: "SHA-256" } },
  "P-384": { key: ecdsa("P-384"), algorithm: { name: "ECDSA", hash: "SHA-384" } },
  "P-521": { key: ecdsa("P-521"), algorithm: { name: "ECDSA", hash: "SHA-512" } },
};

async function importSigner(
  pem: string,
): Promise<{ readonly key: webcrypto.CryptoKey; readonly algorithm: SigningAlgorithm }> {
  const key = createPrivateKey(pem);
  const type = signingKeyType(key);
  if (type === undefined) throw new Error("the issuer's key is of a type that cannot sign");
  const { key: parameters, algorithm } = signatures[type];
  const der = key.export({ type: "pkcs8", format: "der" });
  return {
    key: await webcrypto.subtle.importKey("pkcs8", der, parameters, false, ["sign"]),
    algorithm,
  };
}

// Where the CA names its key itself, verifiers compare that name, however it was computed, with the leaf's.
async function authorityKeyIdentifier(
  authority: X509Certificate,
): Promise<AuthorityKeyIdentifierExtension> {
  const named = authority.getExtension(SubjectKeyIdentifierExtension);
  if (named !== null) return new AuthorityKeyIdentifierExtension(named.keyId);
  return AuthorityKeyIdentifierExtension.create(authority.publicKey, false, webcrypto);
}

/**
 * Issues a TLS client certificate with a new ECDSA key; the issuer's key is read and kept nowhere.
 * @throws Error when the issuer's key or certificate is not one that `resolve` would have let through.
 */
export async function issueClientCertificate(request: IssueRequest): Promise<IssuedCertificate> {
  const { issuer, notBeforeMs, notAfterMs } = request;
  const keys = await generateKeys();
  const signer = await importSigner(issuer.privateKeyPem);
  const authority = new X509Certificate(issuer.certificate.pem);
  const certificate = await X509CertificateGenerator.create(
    {
      serialNumber: randomSerialNumber(),
      subject: [{ CN: [issuer.commonName] }],
      issuer: authority.subjectName,
      notBefore: new Date(notBeforeMs),
      notAfter: new Date(notAfterMs),
      publicKey: keys.publicKey,
      signingKey: signer.key,
      signingAlgorithm: signer.algorithm,
      extensions: [
        new BasicConstraintsExtension(false, undefined, true),
        new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
        new ExtendedKeyUsageExtension([ExtendedKeyUsage.clientAuth]),
        await SubjectKeyIdentifierExtension.create(keys.publicKey, false, webcrypto),
        await authorityKeyIdentifier(authority),
      ],
    },
    webcrypto,
  );
  return {
    certificatePem: toCertificatePem(certificate),
    privateKeyPem: await toPrivateKeyPem(keys.privateKey),
  };
}
