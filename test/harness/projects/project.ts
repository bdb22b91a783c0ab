import { createPrivateKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseAllDocuments } from "yaml";
import type { HostedKeys, HostedRequest, KeyPair } from "../../cluster";
import type { AnyObject } from "../api";

/** A project that hosts control planes, as far as fairlead meets it. */
export interface Project {
  /** Its folder in examples/. */
  readonly name: string;
  /** The files there that are applied, in this order. */
  readonly files: readonly string[];
  /** Its API servers: names, port, flags and keys as the project gives them. */
  readonly hosted: HostedRequest;
  /** What the project keeps of their keys in the control-plane namespace. */
  secrets(keys: HostedKeys): Promise<readonly AnyObject[]>;
  /** What else the project has there, the Namespace aside. */
  readonly objects: readonly AnyObject[];
}

/** The Path of a file of an example. */
export function examplePath(project: string, file: string): string {
  return resolve(join(__dirname, "../../../examples", project, file));
}

/** The objects of an example's file. */
export function readExample(project: string, file: string): readonly AnyObject[] {
  return parseAllDocuments(readFileSync(examplePath(project, file), "utf8")).map(
    (document) => document.toJS() as AnyObject,
  );
}

/** The one object of a kind in an example's file. */
export function readKind(project: string, file: string, kind: string): AnyObject {
  const [found, ...others] = readExample(project, file).filter((object) => object.kind === kind);
  if (found === undefined || others.length > 0) {
    throw new Error(`examples/${project}/${file} should have one ${kind}`);
  }
  return found;
}

/** The pair with its RSA key as Go's programs write it: `RSA PRIVATE KEY` (PKCS #1). */
export function asPkcs1({ certificatePem, privateKeyPem }: KeyPair): KeyPair {
  const key = createPrivateKey(privateKeyPem).export({ type: "pkcs1", format: "pem" });
  return { certificatePem, privateKeyPem: key.toString() };
}
