import { createCA, issue, type HostedKeys, type KeyPair } from "../../test/cluster";
import { parse, stringify } from "yaml";
import { configMapManifest, GENERIC_KUBECONFIG, secretManifest } from "./objects";

const DAY_MS = 86_400_000;
const days = (count: number): Date => new Date(Date.now() + count * DAY_MS);

/** The certificates of a tenant's control plane, made on the spot. */
export interface TenantKeys {
  readonly host: string;
  /** Signs what the gateway serves; stays with the tenant. */
  readonly publicCA: KeyPair;
  /** Signs the API servers' own certificate. */
  readonly serverCA: KeyPair;
  readonly clientCA: KeyPair;
  readonly frontProxyCA: KeyPair;
  readonly server: KeyPair;
  /** A ready-made client certificate of the gateway. */
  readonly proxyClient: KeyPair;
}

type Authorities = Pick<TenantKeys, "serverCA" | "clientCA" | "frontProxyCA">;

/** The authorities of a control plane without API servers. */
async function createAuthorities(tenant: string): Promise<Authorities> {
  const [serverCA, clientCA, frontProxyCA] = await Promise.all(
    (["ca", "ca-client", "ca-front-proxy"] as const).map(async (role) =>
      createCA({ commonName: `${tenant} ${role}` }),
    ) as [Promise<KeyPair>, Promise<KeyPair>, Promise<KeyPair>],
  );
  return { serverCA, clientCA, frontProxyCA };
}

/** Who signs what a tenant's gateway serves, by its common name. */
export function publicCAName(tenant: string): string {
  return `${tenant} public CA`;
}

/**
 * Makes a tenant's certificates.
 * @param hosted The keys of its API servers, where there are any.
 */
export async function createTenantKeys(
  tenant: string,
  host: string,
  hosted?: HostedKeys,
): Promise<TenantKeys> {
  const publicCA = await createCA({ commonName: publicCAName(tenant) });
  const { serverCA, clientCA, frontProxyCA } = hosted ?? (await createAuthorities(tenant));
  return {
    host,
    publicCA,
    serverCA,
    clientCA,
    frontProxyCA,
    server: await issueServer(publicCA, host, 90),
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
    dnsNames: [host],
    usages: ["server"],
    notAfter: days(lifeDays),
  });
}

/** Every private key of a tenant (PEM). */
export function privateKeysOf(keys: TenantKeys): string[] {
  const { publicCA, serverCA, clientCA, frontProxyCA, server, proxyClient } = keys;
  return [publicCA, serverCA, clientCA, frontProxyCA, server, proxyClient].map(
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
  const { serverCA, clientCA, frontProxyCA, server } = keys;
  return [
    tlsSecret(namespace, "kube-apiserver", server),
    secretManifest(namespace, "ca", { "ca.crt": serverCA.certificatePem }),
    secretManifest(namespace, "ca-client", { "ca.crt": clientCA.certificatePem }),
    secretManifest(namespace, "ca-front-proxy", {
      "ca.crt": frontProxyCA.certificatePem,
      "ca.key": frontProxyCA.privateKeyPem,
    }),
  ];
}

/** The Secret of a generic kubeconfig, which clients of a tenant mount; a token comes from elsewhere. */
export function kubeconfigSecret(namespace: string, keys: TenantKeys, server: string): object {
  const ca = `${keys.publicCA.certificatePem}${keys.serverCA.certificatePem}`;
  const kubeconfig = {
    apiVersion: "v1",
    kind: "Config",
    "current-context": "main",
    clusters: [
      {
        name: "main",
        cluster: { server, "certificate-authority-data": Buffer.from(ca).toString("base64") },
      },
    ],
    users: [{ name: "main", user: { tokenFile: "/var/run/secrets/token" } }],
    contexts: [{ name: "main", context: { cluster: "main", user: "main" } }],
  };
  return secretManifest(namespace, GENERIC_KUBECONFIG, { kubeconfig: stringify(kubeconfig) });
}

/** The server that a kubeconfig's only cluster has; undefined where there is none. */
export function serverOfKubeconfig(text: string): string | undefined {
  const { clusters = [] } = parse(text) as { clusters?: { cluster?: { server?: string } }[] };
  return clusters[0]?.cluster?.server;
}

/** The sources that examples/hosted-api-server-ready-made-client.yaml names. */
export function readyMadeSources(namespace: string, keys: TenantKeys): readonly object[] {
  const { serverCA, clientCA, server, proxyClient } = keys;
  return [
    tlsSecret(namespace, "apiserver-tls", server),
    tlsSecret(namespace, "apiserver-proxy-client", proxyClient),
    configMapManifest(namespace, "apiserver-ca", { "bundle.pem": serverCA.certificatePem }),
    configMapManifest(namespace, "client-ca", { "ca.crt": clientCA.certificatePem }),
  ];
}
