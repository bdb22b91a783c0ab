import { generateKeyPairSync } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createCA, issue, type KeyPair } from "./certificates";

/** The identities that API servers on one etcd share. */
export interface ClusterKeys {
  readonly ca: KeyPair;
  readonly admin: KeyPair;
  /** Signs and verifies ServiceAccount tokens. */
  readonly serviceAccounts: { readonly privateKeyPem: string; readonly publicKeyPem: string };
}

/** Makes the keys of a new cluster. */
export async function createClusterKeys(): Promise<ClusterKeys> {
  const ca = await createCA({ commonName: "fairlead embedded cluster" });
  const { privateKey, publicKey } = generateKeyPairSync("ec", {
    namedCurve: "P-256",
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
    publicKeyEncoding: { type: "spki", format: "pem" },
  });
  return {
    ca,
    admin: await issueUser(ca, { name: "admin", groups: ["system:masters"] }),
    serviceAccounts: { privateKeyPem: privateKey, publicKeyPem: publicKey },
  };
}

/** Somebody that the API server knows by a client certificate. */
export interface User {
  readonly name: string;
  readonly groups: readonly string[];
}

/** A client certificate for a user. */
export async function issueUser(ca: KeyPair, user: User): Promise<KeyPair> {
  return issue(ca, { commonName: user.name, organizations: user.groups, usages: ["client"] });
}

/** Paths of what an API server reads. */
export interface ClusterFiles {
  readonly ca: string;
  readonly caKey: string;
  readonly serverCertificate: string;
  readonly serverKey: string;
  readonly serviceAccountKey: string;
  readonly serviceAccountPublicKey: string;
  readonly auditPolicy: string;
  readonly auditLog: string;
}

// Watches show when they start and when they end; everything else once, when it is answered.
const auditPolicy = {
  apiVersion: "audit.k8s.io/v1",
  kind: "Policy",
  omitStages: ["RequestReceived"],
  rules: [{ level: "Metadata" }],
};

/** Writes keys, certificates and the audit policy below a directory, for its owner only. */
export async function writeClusterFiles(
  directory: string,
  keys: ClusterKeys,
): Promise<ClusterFiles> {
  const folder = join(directory, "pki");
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const server = await issue(keys.ca, {
    commonName: "kube-apiserver",
    dnsNames: ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"],
    ipAddresses: ["127.0.0.1", "::1", "10.96.0.1"],
    usages: ["server"],
  });
  const files: ClusterFiles = {
    ca: join(folder, "ca.crt"),
    caKey: join(folder, "ca.key"),
    serverCertificate: join(folder, "server.crt"),
    serverKey: join(folder, "server.key"),
    serviceAccountKey: join(folder, "service-accounts.key"),
    serviceAccountPublicKey: join(folder, "service-accounts.pub"),
    auditPolicy: join(directory, "audit-policy.json"),
    auditLog: join(directory, "audit.log"),
  };
  const contents: readonly (readonly [path: string, text: string])[] = [
    [files.ca, keys.ca.certificatePem],
    [files.caKey, keys.ca.privateKeyPem],
    [files.serverCertificate, server.certificatePem],
    [files.serverKey, server.privateKeyPem],
    [files.serviceAccountKey, keys.serviceAccounts.privateKeyPem],
    [files.serviceAccountPublicKey, keys.serviceAccounts.publicKeyPem],
    [files.auditPolicy, JSON.stringify(auditPolicy)],
  ];
  await Promise.all(contents.map(async ([path, text]) => writeFile(path, text, { mode: 0o600 })));
  return files;
}

/** What a kubeconfig is made of. */
export interface KubeconfigRequest {
  readonly url: string;
  readonly caPem: string;
  readonly userName: string;
  /** One of both; neither is anonymous. */
  readonly client?: KeyPair | undefined;
  readonly token?: string | undefined;
}

/** Writes a self-contained kubeconfig (JSON, which is YAML), readable by its owner only. */
export async function writeKubeconfig(path: string, request: KubeconfigRequest): Promise<void> {
  const { client, token } = request;
  const base64 = (text: string) => Buffer.from(text, "utf8").toString("base64");
  const name = "fairlead";
  const kubeconfig = {
    apiVersion: "v1",
    kind: "Config",
    clusters: [
      {
        name,
        cluster: { server: request.url, "certificate-authority-data": base64(request.caPem) },
      },
    ],
    users: [
      {
        name: request.userName,
        user: {
          ...(client === undefined
            ? {}
            : {
                "client-certificate-data": base64(client.certificatePem),
                "client-key-data": base64(client.privateKeyPem),
              }),
          ...(token === undefined ? {} : { token }),
        },
      },
    ],
    contexts: [{ name, context: { cluster: name, user: request.userName, namespace: "default" } }],
    "current-context": name,
  };
  await writeFile(path, `${JSON.stringify(kubeconfig, undefined, 2)}\n`, { mode: 0o600 });
}
