import { createCA, issue, type HostedKeys } from "../../cluster";
import { createClusterKeys, issueUser } from "../../cluster/cluster-files";
import type { HostedNames } from "../../cluster/hosted-files";
import { secret } from "../objects";
import { tlsSecret } from "../tenant";
import { asPkcs1, readKind, type Project } from "./project";

const name = "k0smotron";
const hapi = readKind(name, "hosted-api-server.yaml", "HostedAPIServer");
const { namespace = "" } = hapi.metadata;
const { service } = hapi.spec as {
  readonly service: { readonly name: string; readonly port: number };
};
/** Of the Cluster: the Service has it behind `kmc-`. */
const cluster = service.name.replace(/^kmc-/, "");
const certificate = readKind(name, "gateway-certificate.yaml", "Certificate").spec as {
  readonly secretName: string;
  readonly dnsNames: readonly string[];
  readonly issuerRef: { readonly name: string };
};
const issuer = readKind(name, "gateway-certificate.yaml", "Issuer");

/**
 * As Cluster API makes a CA: RSA 2048, whatever it is for by the same name, and with serial number 0.
 * @see https://github.com/kubernetes-sigs/cluster-api/blob/v1.12.1/util/secret/certificates.go newSelfSignedCACert
 */
async function createCapiCA() {
  const request = { commonName: "kubernetes", serialNumber: "00", pathLength: 0 } as const;
  return asPkcs1(await createCA({ ...request, algorithm: "rsa" }));
}

/** As k0s makes the rest of them, in its Pods. @see cmd/controller/certificates.go of k0s */
async function makeKeys({ ipAddresses }: HostedNames): Promise<HostedKeys> {
  const [ca, frontProxyCA] = await Promise.all([createCapiCA(), createCapiCA()]);
  const inNamespace = `${service.name}.${namespace}`;
  const server = await issue(ca, {
    commonName: "kubernetes",
    organizations: ["kubernetes"],
    dnsNames: [
      ...["kubernetes", "kubernetes.default", "kubernetes.default.svc"],
      ...["kubernetes.default.svc.cluster.local", "localhost", service.name],
      ...[inNamespace, `${inNamespace}.svc`, `${inNamespace}.svc.cluster.local`],
      // spec.externalAddress
      ...certificate.dnsNames,
    ],
    ipAddresses: ["127.0.0.1", ...ipAddresses],
    usages: ["server", "client"],
    algorithm: "rsa",
  });
  const admin = await issueUser(ca, { name: "kubernetes-admin", groups: ["system:masters"] });
  const { serviceAccounts } = await createClusterKeys();
  return {
    serverCA: ca,
    server: asPkcs1(server),
    clientCA: ca,
    admin,
    frontProxyCA,
    serviceAccounts,
  };
}

/** @see https://github.com/k0sproject/k0smotron/tree/v2.1.0 */
export const k0smotron: Project = {
  name,
  files: ["internal-gateway.yaml", "hosted-api-server.yaml"],
  hosted: {
    namespace,
    name: service.name,
    port: { number: service.port, name: "api" },
    zones: ["zone-1"],
    makeKeys,
    // pkg/component/controller/apiserver.go of k0s
    frontProxyNames: ["front-proxy-client"],
    flags: ["--anonymous-auth=false"],
  },
  // internal/controller/k0smotron.io/k0smotroncluster_controller.go ensureCertificates; and what cert-manager makes of
  // gateway-certificate.yaml.
  async secrets({ serverCA, frontProxyCA }) {
    const { ca } = issuer.spec as { readonly ca: { readonly secretName: string } };
    if (certificate.issuerRef.name !== issuer.metadata.name) throw new Error("another Issuer");
    if (ca.secretName !== `${cluster}-ca`) throw new Error("the Issuer has another CA");
    const [first = ""] = certificate.dnsNames;
    const served = await issue(serverCA, {
      commonName: first,
      dnsNames: certificate.dnsNames,
      usages: ["server"],
      algorithm: "rsa",
    });
    return [
      tlsSecret(namespace, `${cluster}-ca`, serverCA),
      tlsSecret(namespace, `${cluster}-proxy`, frontProxyCA),
      secret(namespace, certificate.secretName, {
        "ca.crt": serverCA.certificatePem,
        "tls.crt": served.certificatePem,
        "tls.key": asPkcs1(served).privateKeyPem,
      }),
    ];
  },
  objects: [],
};
