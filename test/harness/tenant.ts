import { createPrivateKey, X509Certificate } from "node:crypto";
import { createCA, issue, type KeyPair } from "../cluster";
import type { AnyObject } from "./api";
import { configMap, decode, hostedAPIServer, namespace, secret } from "./objects";

/** The certificates and CAs of a hosted control plane. */
export interface TenantKeys {
  readonly serverCA: KeyPair;
  readonly clientCA: KeyPair;
  readonly frontProxyCA: KeyPair;
  readonly server: KeyPair;
  readonly proxyClient: KeyPair;
}

/** The host name of a tenant's API server. */
export function hostOf(tenant: string): string {
  return `api.${tenant}.example.com`;
}

/** A certificate for the tenant's host. */
export async function issueServer(serverCA: KeyPair, tenant: string): Promise<KeyPair> {
  return issue(serverCA, {
    commonName: "kube-apiserver",
    dnsNames: [hostOf(tenant), "kubernetes.default.svc"],
    usages: ["server"],
  });
}

/** Makes the keys of a tenant. */
export async function makeTenantKeys(tenant: string): Promise<TenantKeys> {
  const [serverCA, clientCA, frontProxyCA] = await Promise.all(
    ["kubernetes", "clients", "front-proxy"].map((name) =>
      createCA({ commonName: `${tenant}-${name}` }),
    ),
  );
  if (serverCA === undefined || clientCA === undefined || frontProxyCA === undefined) {
    throw new Error("three authorities were to be made");
  }
  return {
    serverCA,
    clientCA,
    frontProxyCA,
    server: await issueServer(serverCA, tenant),
    proxyClient: await issue(frontProxyCA, {
      commonName: "front-proxy-client",
      usages: ["client"],
    }),
  };
}

/** The Secret of a certificate and its key, under the names that Kubernetes gives them. */
export function tlsSecret(namespace: string, name: string, pair: KeyPair): AnyObject {
  return secret(namespace, name, { "tls.crt": pair.certificatePem, "tls.key": pair.privateKeyPem });
}

/** The sources of a tenant's certificates: every kind of object that may be one. */
export function sourceObjects(tenant: string, keys: TenantKeys): readonly AnyObject[] {
  return [
    tlsSecret(tenant, "kube-apiserver", keys.server),
    secret(tenant, "ca", { "ca.crt": keys.serverCA.certificatePem }),
    configMap(tenant, "ca-client", { "ca.crt": keys.clientCA.certificatePem }),
    secret(tenant, "ca-front-proxy", {
      "ca.crt": keys.frontProxyCA.certificatePem,
      "ca.key": keys.frontProxyCA.privateKeyPem,
    }),
    tlsSecret(tenant, "front-proxy-client", keys.proxyClient),
  ];
}

/** `spec.certificates` that names all of `sourceObjects` but the ready-made certificate. */
export const issuedCertificates = {
  server: { secretName: "kube-apiserver" },
  serverCA: { secretName: "ca" },
  clientCA: { configMapName: "ca-client" },
  proxyClient: { issuer: { secretName: "ca-front-proxy" } },
} as const;

/** `spec.certificates` with the ready-made certificate. */
export const givenCertificates = {
  ...issuedCertificates,
  proxyClient: { certificate: { secretName: "front-proxy-client" } },
} as const;

/** A whole tenant: its Namespace, sources and HostedAPIServer `main`. */
export function tenantObjects(
  tenant: string,
  keys: TenantKeys,
  certificates: object = issuedCertificates,
): readonly AnyObject[] {
  return [
    namespace(tenant),
    ...sourceObjects(tenant, keys),
    hostedAPIServer(tenant, "main", { certificates }),
  ];
}

/** A derived Secret, looked at: whether its key belongs to its certificate. */
export interface DerivedSecret {
  readonly name: string;
  readonly keys: readonly string[];
  /** Undefined for a Secret that holds no certificate. */
  readonly certificate: string | undefined;
  readonly belongsTogether: boolean;
}

/** Looks at a derived Secret; what it holds goes no further than this. */
export function examineDerived(object: AnyObject): DerivedSecret {
  const { cert, key, ...rest } = decode(object);
  const keys = Object.keys(object.data ?? {}).sort();
  const name = object.metadata.name ?? "";
  if (cert === undefined || key === undefined) {
    const belongsTogether = cert === key && rest.cacert !== undefined;
    return { name, keys, certificate: undefined, belongsTogether };
  }
  return { name, keys, certificate: cert, belongsTogether: isPair(cert, key) };
}

function isPair(certificatePem: string, privateKeyPem: string): boolean {
  try {
    return new X509Certificate(certificatePem).checkPrivateKey(createPrivateKey(privateKeyPem));
  } catch {
    return false;
  }
}
