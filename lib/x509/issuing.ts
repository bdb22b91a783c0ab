import { randomBytes, webcrypto } from "node:crypto";
import type { X509Certificate } from "@peculiar/x509";

// What every certificate that fairlead makes is made with, whoever signs it.

/** A new key is ECDSA on P-256. */
const keyAlgorithm = { name: "ECDSA", namedCurve: "P-256" } as const;

/** How a key of `generateKeys` signs. */
export const SIGNING_ALGORITHM = { name: "ECDSA", hash: "SHA-256" } as const;

/** Makes a key pair, which can be exported. */
export function generateKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(keyAlgorithm, true, ["sign", "verify"]);
}

/** A serial number: positive (first bit 0) and never zero, as RFC 5280 demands; 126 random bits. */
export function randomSerialNumber(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes.toString("hex");
}

/** A private key as PEM (PKCS #8). */
export async function toPrivateKeyPem(key: webcrypto.CryptoKey): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", key));
  const lines = der.toString("base64").match(/.{1,64}/g) ?? [];
  return `-----BEGIN PRIVATE KEY-----\n${lines.join("\n")}\n-----END PRIVATE KEY-----\n`;
}

/** A certificate as PEM. */
export function toCertificatePem(certificate: X509Certificate): string {
  return `${certificate.toString("pem")}\n`;
}
