import { createCA, issue, type HostedKeys } from "../../cluster";
import { createClusterKeys, issueUser } from "../../cluster/cluster-files";
import type { HostedNames } from "../../cluster/hosted-files";
import { secret } from "../objects";
import { asPkcs1, readKind, type Project } from "./project";

const name = "kamaji";
const hapi = readKind(name, "hosted-api-server.yaml", "HostedAPIServer");
const { namespace = "" } = hapi.metadata;
const { hosts, service } = hapi.spec as {
  readonly hosts: readonly string[];
  readonly service: { readonly name: string; readonly port: number };
};
/** Of the TenantControlPlane: the Service has the same. */
const tenant = service.name;

/**
 * As kubeadm makes them for Kamaji: RSA 2048, one CA for servers and clients.
 * @see https://github.com/kubernetes/kubernetes/blob/v1.36.3/cmd/kubeadm/app/phases/certs/certlist.go
 * @see https://github.com/clastix/kamaji/blob/26.8.2-edge/internal/kubeadm/configuration.go the names
 */
async function makeKeys({ ipAddresses }: HostedNames): Promise<HostedKeys> {
  const [ca, frontProxyCA] = await Promise.all([
    createCA({ commonName: "kubernetes", dnsNames: ["kubernetes"], algorithm: "rsa" }),
    createCA({ commonName: "front-proxy-ca", dnsNames: ["front-proxy-ca"], algorithm: "rsa" }),
  ]);
  const inNamespace = `${tenant}.${namespace}.svc`;
  const server = await issue(ca, {
    commonName: "kube-apiserver",
    dnsNames: [
      ...["kubernetes", "kubernetes.default", "kubernetes.default.svc"],
      ...["kubernetes.default.svc.cluster.local", "localhost", tenant],
      ...[inNamespace, `${inNamespace}.cluster.local`],
      // networkProfile.certSANs
      ...hosts,
    ],
    ipAddresses: ["127.0.0.1", ...ipAddresses],
    usages: ["server"],
    algorithm: "rsa",
  });
  const admin = await issueUser(ca, { name: "admin", groups: ["system:masters"] });
  const { serviceAccounts } = await createClusterKeys();
  const [pair, proxyPair] = [asPkcs1(ca), asPkcs1(frontProxyCA)];
  return {
    serverCA: pair,
    server: asPkcs1(server),
    clientCA: pair,
    admin,
    frontProxyCA: proxyPair,
    serviceAccounts,
  };
}

/** @see https://github.com/clastix/kamaji/tree/26.8.2-edge */
export const kamaji: Project = {
  name,
  files: ["internal-gateway.yaml", "hosted-api-server.yaml"],
  hosted: {
    namespace,
    name: tenant,
    port: { number: service.port, name: "kube-apiserver" },
    zones: ["zone-1"],
    makeKeys,
    // internal/builders/controlplane/deployment.go, buildKubeAPIServerCommand
    frontProxyNames: ["front-proxy-client"],
  },
  // internal/resources: ca_certificate.go, api_server_certificate.go, front_proxy_ca_certificate.go,
  // front-proxy-client-certificate.go
  async secrets({ serverCA, server, frontProxyCA }) {
    const frontProxyClient = asPkcs1(
      await issue(frontProxyCA, {
        commonName: "front-proxy-client",
        usages: ["client"],
        algorithm: "rsa",
      }),
    );
    return [
      secret(namespace, `${tenant}-ca`, {
        "ca.crt": serverCA.certificatePem,
        "ca.key": serverCA.privateKeyPem,
        "tls.crt": serverCA.certificatePem,
        "tls.key": serverCA.privateKeyPem,
      }),
      secret(namespace, `${tenant}-api-server-certificate`, {
        "apiserver.crt": server.certificatePem,
        "apiserver.key": server.privateKeyPem,
      }),
      secret(namespace, `${tenant}-front-proxy-ca-certificate`, {
        "front-proxy-ca.crt": frontProxyCA.certificatePem,
        "front-proxy-ca.key": frontProxyCA.privateKeyPem,
      }),
      secret(namespace, `${tenant}-front-proxy-client-certificate`, {
        "front-proxy-client.crt": frontProxyClient.certificatePem,
        "front-proxy-client.key": frontProxyClient.privateKeyPem,
      }),
    ];
  },
  objects: [],
};
