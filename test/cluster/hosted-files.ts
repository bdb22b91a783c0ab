import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createCA, issue, type KeyPair } from "./certificates";
import { createClusterKeys, issueUser, type ClusterKeys } from "./cluster-files";

/** The identities of one hosted cluster. */
export interface HostedKeys {
  /** Signs the API servers' own certificate, and `server`. */
  readonly serverCA: KeyPair;
  /** The API servers' own certificate. */
  readonly server: KeyPair;
  /** Signs the users' certificates. */
  readonly clientCA: KeyPair;
  /** A user in system:masters. */
  readonly admin: KeyPair;
  /** Signs the certificates of front proxies. */
  readonly frontProxyCA: KeyPair;
  readonly serviceAccounts: ClusterKeys["serviceAccounts"];
}

/** The names that front proxies may have (`--requestheader-allowed-names`). */
export const frontProxyNames = ["front-proxy-client", "system:istio-gateway"] as const;

/** Names that the API servers' own certificate has, besides those that are asked for. */
export interface HostedNames {
  readonly namespace: string;
  readonly name: string;
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
}

/** Makes the keys of a new hosted cluster. */
export async function createHostedKeys(names: HostedNames): Promise<HostedKeys> {
  const [serverCA, clientCA, frontProxyCA, { serviceAccounts }] = await Promise.all([
    createCA({ commonName: "hosted server CA" }),
    createCA({ commonName: "hosted client CA" }),
    createCA({ commonName: "hosted front-proxy CA" }),
    createClusterKeys(),
  ]);
  const inNamespace = `${names.name}.${names.namespace}`;
  const server = await issue(serverCA, {
    commonName: "kube-apiserver",
    dnsNames: [
      "localhost",
      "kubernetes",
      "kubernetes.default",
      "kubernetes.default.svc",
      "kubernetes.default.svc.cluster.local",
      names.name,
      inNamespace,
      `${inNamespace}.svc`,
      `${inNamespace}.svc.cluster.local`,
      ...names.dnsNames,
    ],
    ipAddresses: ["127.0.0.1", ...names.ipAddresses],
    usages: ["server"],
  });
  const admin = await issueUser(clientCA, { name: "admin", groups: ["system:masters"] });
  return { serverCA, server, clientCA, admin, frontProxyCA, serviceAccounts };
}

/** Paths of what hosted API servers read. */
export interface HostedFiles {
  /** Bundles that the API servers read again when they change: rotate them by writing them. */
  readonly clientCA: string;
  readonly frontProxyCA: string;
  /** Read again, too. */
  readonly serverCertificate: string;
  readonly serverKey: string;
  readonly serviceAccountKey: string;
  readonly serviceAccountPublicKey: string;
}

/** Writes keys and certificates below a directory, for its owner only. */
export async function writeHostedFiles(directory: string, keys: HostedKeys): Promise<HostedFiles> {
  const folder = join(directory, "pki");
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const files: HostedFiles = {
    clientCA: join(folder, "client-ca.crt"),
    frontProxyCA: join(folder, "front-proxy-ca.crt"),
    serverCertificate: join(folder, "server.crt"),
    serverKey: join(folder, "server.key"),
    serviceAccountKey: join(folder, "service-accounts.key"),
    serviceAccountPublicKey: join(folder, "service-accounts.pub"),
  };
  const contents: readonly (readonly [path: string, text: string])[] = [
    [files.clientCA, keys.clientCA.certificatePem],
    [files.frontProxyCA, keys.frontProxyCA.certificatePem],
    [files.serverCertificate, keys.server.certificatePem],
    [files.serverKey, keys.server.privateKeyPem],
    [files.serviceAccountKey, keys.serviceAccounts.privateKeyPem],
    [files.serviceAccountPublicKey, keys.serviceAccounts.publicKeyPem],
  ];
  await Promise.all(contents.map(async ([path, text]) => writeFile(path, text, { mode: 0o600 })));
  return files;
}
