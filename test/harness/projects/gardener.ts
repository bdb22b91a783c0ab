import { createHash } from "node:crypto";
import { createCA, issue, type HostedKeys, type KeyPair } from "../../cluster";
import { createClusterKeys, issueUser } from "../../cluster/cluster-files";
import type { HostedNames } from "../../cluster/hosted-files";
import type { AnyObject } from "../api";
import { encode } from "../objects";
import { asPkcs1, readKind, type Project } from "./project";

const name = "gardener";
const hapi = readKind(name, "hosted-api-server.yaml", "HostedAPIServer");
const { namespace = "" } = hapi.metadata;
const { hosts, certificates } = hapi.spec as {
  readonly hosts: readonly string[];
  readonly certificates: Readonly<
    Record<"server" | "serverCA" | "clientCA", { secretName: string }>
  >;
};
const { metadata: gateway } = readKind(name, "internal-gateway.yaml", "InternalGateway");
const GATEWAY_LABELS = { app: "istio-ingressgateway", istio: "ingressgateway" };

/**
 * As the secrets manager labels a Secret, and never changes it. Its hash is of what it is made from: taken from the
 * example, or, after a rotation, another one.
 * @see https://github.com/gardener/gardener/blob/v1.149.3/pkg/utils/secrets/manager/manager.go
 */
function managedSecret(
  label: string,
  secretName: string,
  values: Readonly<Record<string, string>>,
): AnyObject {
  return {
    apiVersion: "v1",
    kind: "Secret",
    metadata: {
      name: secretName,
      namespace,
      labels: {
        name: label,
        "managed-by": "secrets-manager",
        "manager-identity": "gardenlet",
        ...(label.endsWith("-bundle") ? { "bundle-for": label.replace(/-bundle$/, "") } : {}),
      },
    },
    type: "tls.key" in values ? "kubernetes.io/tls" : "Opaque",
    immutable: true,
    data: encode(values),
  };
}

/** As the secrets manager appends it. */
const hashed = (label: string, seed: string): string =>
  `${label}-${createHash("sha256").update(seed).digest("hex").slice(0, 8)}`;

/** RSA 3072; the common name of a CA is its Secret's name. */
async function createManagedCA(commonName: string): Promise<KeyPair> {
  return asPkcs1(await createCA({ commonName, algorithm: "rsa3072" }));
}

/** `tls.crt` holds the CA too. @see pkg/component/kubernetes/apiserver/secrets.go reconcileSecretServer */
async function issueManagedServer(
  serverCA: KeyPair,
  ipAddresses: readonly string[],
): Promise<KeyPair> {
  const service = `kube-apiserver.${namespace}`;
  const { certificatePem, privateKeyPem } = await issue(serverCA, {
    commonName: "kube-apiserver",
    dnsNames: [
      ...["kube-apiserver", service, `${service}.svc`, `${service}.svc.cluster.local`],
      // No kubernetes.default.svc, as for a workerless shoot.
      ...["localhost", namespace, ...hosts],
    ],
    ipAddresses: ["127.0.0.1", "::1", ...ipAddresses],
    usages: ["server"],
    algorithm: "rsa3072",
  });
  return asPkcs1({ certificatePem: `${certificatePem}${serverCA.certificatePem}`, privateKeyPem });
}

async function makeKeys({ ipAddresses }: HostedNames): Promise<HostedKeys> {
  const [serverCA, clientCA, frontProxyCA] = await Promise.all([
    createManagedCA("ca"),
    createManagedCA(hashed("ca-client", "first")),
    createManagedCA("ca-front-proxy"),
  ]);
  const [server, admin, { serviceAccounts }] = await Promise.all([
    issueManagedServer(serverCA, ipAddresses),
    issueUser(clientCA, { name: "admin", groups: ["system:masters"] }),
    createClusterKeys(),
  ]);
  return { serverCA, server, clientCA, admin, frontProxyCA, serviceAccounts };
}

/** What a rotation of the server's certificate and of the client CA adds; the first ones stay until it is completed. */
export interface GardenerRotation {
  readonly server: KeyPair;
  readonly clientCA: KeyPair;
  readonly secrets: readonly AnyObject[];
  /** By what they are for in spec.certificates. */
  readonly names: Readonly<Record<"server" | "clientCA", string>>;
}

/** Rotates as the secrets manager does: under new names, bundles with both CAs. */
export async function rotateGardener(keys: HostedKeys): Promise<GardenerRotation> {
  const names = {
    server: hashed("kube-apiserver", "second"),
    clientCA: hashed("ca-client-bundle", "second"),
  };
  const caName = hashed("ca-client", "second");
  const [server, clientCA] = await Promise.all([
    issueManagedServer(keys.serverCA, []),
    createManagedCA(caName),
  ]);
  return {
    server,
    clientCA,
    names,
    secrets: [
      managedSecret("kube-apiserver", names.server, {
        "tls.crt": server.certificatePem,
        "tls.key": server.privateKeyPem,
      }),
      managedSecret("ca-client", caName, {
        "ca.crt": clientCA.certificatePem,
        "ca.key": clientCA.privateKeyPem,
      }),
      managedSecret("ca-client-bundle", names.clientCA, {
        "bundle.crt": `${clientCA.certificatePem}${keys.clientCA.certificatePem}`,
      }),
    ],
  };
}

/**
 * Gardener's own way in, passed through, on the same Pods; and its Services there.
 * @see https://github.com/gardener/gardener/blob/v1.149.3/pkg/component/kubernetes/apiserverexposure/sni.go
 * @see https://github.com/gardener/gardener/tree/v1.149.3/pkg/utils/istio
 */
function ownExposure(): readonly AnyObject[] {
  const istio = (kind: string, spec: object): AnyObject => ({
    apiVersion: "networking.istio.io/v1",
    kind,
    metadata: { name: "kube-apiserver", namespace },
    spec: spec as AnyObject["spec"] & object,
  });
  const service = (serviceName: string): AnyObject => ({
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: serviceName, namespace: gateway.namespace ?? "" },
    spec: {
      selector: GATEWAY_LABELS,
      ports: [{ name: "tcp", port: 443, targetPort: 9443 }],
    },
  });
  const host = `kube-apiserver.${namespace}.svc.cluster.local`;
  const exportTo = [gateway.namespace];
  return [
    service("istio-ingressgateway"),
    service("istio-ingressgateway-internal"),
    istio("Gateway", {
      selector: GATEWAY_LABELS,
      servers: [
        {
          hosts,
          port: { number: 443, name: "tls", protocol: "TLS" },
          tls: { mode: "PASSTHROUGH" },
        },
      ],
    }),
    istio("VirtualService", {
      exportTo,
      hosts,
      gateways: ["kube-apiserver"],
      tls: [
        {
          match: [{ port: 443, sniHosts: hosts }],
          route: [{ destination: { host, port: { number: 443 } } }],
        },
      ],
    }),
    istio("DestinationRule", {
      exportTo,
      host,
      trafficPolicy: {
        connectionPool: {
          tcp: {
            maxConnectionDuration: "86400s",
            tcpKeepalive: { time: "7200s", interval: "75s" },
          },
        },
        loadBalancer: {
          localityLbSetting: {
            enabled: true,
            failoverPriority: ["topology.kubernetes.io/zone"],
          },
        },
        outlierDetection: { minHealthPercent: 0 },
        tls: { mode: "DISABLE" },
      },
    }),
  ];
}

/** @see https://github.com/gardener/gardener/tree/v1.149.3 */
export const gardener: Project = {
  name,
  files: ["internal-gateway.yaml", "hosted-api-server.yaml"],
  hosted: {
    namespace,
    zones: ["zone-1"],
    makeKeys,
    // pkg/component/kubernetes/apiserver: deployment.go computeKubeAPIServerArgs gives no such flag, and
    // authentication.go turns anonymous requests off.
    frontProxyNames: [],
    flags: ["--anonymous-auth=false"],
  },
  async secrets({ serverCA, server, clientCA, frontProxyCA }) {
    return Promise.resolve([
      managedSecret("ca", "ca", {
        "ca.crt": serverCA.certificatePem,
        "ca.key": serverCA.privateKeyPem,
      }),
      managedSecret("ca-bundle", certificates.serverCA.secretName, {
        "bundle.crt": serverCA.certificatePem,
      }),
      managedSecret("ca-client", hashed("ca-client", "first"), {
        "ca.crt": clientCA.certificatePem,
        "ca.key": clientCA.privateKeyPem,
      }),
      managedSecret("ca-client-bundle", certificates.clientCA.secretName, {
        "bundle.crt": clientCA.certificatePem,
      }),
      managedSecret("ca-front-proxy", "ca-front-proxy", {
        "ca.crt": frontProxyCA.certificatePem,
        "ca.key": frontProxyCA.privateKeyPem,
      }),
      managedSecret("kube-apiserver", certificates.server.secretName, {
        "tls.crt": server.certificatePem,
        "tls.key": server.privateKeyPem,
      }),
    ]);
  },
  objects: ownExposure(),
};
