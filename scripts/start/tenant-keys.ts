import { createCA, issue, type KeyPair } from "../../test/cluster";
import { configMapManifest, secretManifest } from "./objects";

const DAY_MS = 86_400_000;
const days = (count: number): Date => new Date(Date.now() + count * DAY_MS);

/** The certificates of a tenant's control plane, made on the spot. */
export interface TenantKeys {
  readonly host: string;
  /** Signs what the gateway serves; stays with the tenant. */
  readonly ca: KeyPair;
  readonly clientCA: KeyPair;
  readonly frontProxyCA: KeyPair;
  readonly server: KeyPair;
  /** A ready-made client certificate of the gateway. */
  readonly proxyClient: KeyPair;
}

/** Makes a tenant's certificates. */
export async function createTenantKeys(tenant: string, host: string): Promise<TenantKeys> {
  const [ca, clientCA, frontProxyCA] = await Promise.all(
    (["ca", "ca-client", "ca-front-proxy"] as const).map(async (role) =>
      createCA({ commonName: `${tenant} ${role}` }),
    ) as [Promise<KeyPair>, Promise<KeyPair>, Promise<KeyPair>],
  );
  return {
    host,
    ca,
    clientCA,
    frontProxyCA,
    server: await issueServer(ca, host, 90),
    proxyClient: await issue(frontProxyCA, {
      commonName: "system:istio-gateway",
      usages: ["client"],
      notAfter: days(60),
    }),
  };
}

/** Issues a certificate for what the gateway serves. */
export async function issueServer(ca: KeyPair, host: string, lifeDays: number): Promise<KeyPair> {
  return issue(ca, {
    commonName: "kube-apiserver",
    dnsNames: [host, "kubernetes.default.svc"],
    usages: ["server"],
    notAfter: days(lifeDays),
  });
}

/** Every private key of a tenant (PEM). */
export function privateKeysOf(keys: TenantKeys): string[] {
  const { ca, clientCA, frontProxyCA, server, proxyClient } = keys;
  return [ca, clientCA, frontProxyCA, server, proxyClient].map(
    ({ privateKeyPem }) => privateKeyPem,
  );
}

/** What a `secretName` of certificate and key leads to, with the default keys. */
export function tlsSecret(namespace: string, name: string, pair: KeyPair): object {
  return secretManifest(namespace, name, {
    "tls.crt": pair.certificatePem,
    "tls.key": pair.privateKeyPem,
  });
}

/** The sources that examples/hosted-api-server.yaml names. */
export function fullSources(namespace: string, keys: TenantKeys): readonly object[] {
  const { ca, clientCA, frontProxyCA, server } = keys;
  return [
    tlsSecret(namespace, "kube-apiserver", server),
    secretManifest(namespace, "ca", { "ca.crt": ca.certificatePem }),
    secretManifest(namespace, "ca-client", { "ca.crt": clientCA.certificatePem }),
    secretManifest(namespace, "ca-front-proxy", {
      "ca.crt": frontProxyCA.certificatePem,
      "ca.key": frontProxyCA.privateKeyPem,
    }),
  ];
}

/** The sources that examples/hosted-api-server-ready-made-client.yaml names. */
export function readyMadeSources(namespace: string, keys: TenantKeys): readonly object[] {
  const { ca, clientCA, server, proxyClient } = keys;
  return [
    tlsSecret(namespace, "apiserver-tls", server),
    tlsSecret(namespace, "apiserver-proxy-client", proxyClient),
    configMapManifest(namespace, "apiserver-ca", { "bundle.pem": ca.certificatePem }),
    configMapManifest(namespace, "client-ca", { "ca.crt": clientCA.certificatePem }),
  ];
}
