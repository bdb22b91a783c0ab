import { issue, type KeyPair } from "../../test/cluster";
import { refOf, type AnyObject, type Api, type Kind } from "../../test/harness/api";
import { eventually } from "../../test/harness/eventually";
import {
  endpointSlice,
  hostedAPIServer,
  internalGateway,
  namespace,
  routedPod,
  service,
} from "../../test/harness/objects";
import { inParallel } from "../../test/harness/parallel";
import { issuedCertificates, sourceObjects } from "../../test/harness/tenant";
import { DOMAIN, GATEWAY_NAMESPACE, type ScaleStage } from "./stage";

/** More of a control plane than its HostedAPIServer needs. */
export interface ControlPlaneSize {
  /** Pods that mount a generic kubeconfig, each; with any, the control plane has eight Services. */
  readonly pods: number;
}

const CONCURRENCY = 16;
const NAME = "main";
/** With the API servers' own Service eight, which fairlead makes topology-aware. */
const MORE_SERVICES = [
  "etcd-main-client",
  "etcd-events-client",
  "gardener-resource-manager",
  "vpa-webhook",
  "virtual-garden-etcd-main-client",
  "virtual-garden-etcd-events-client",
  "gardener-apiserver",
];

/** The namespace of a control plane, by its number. */
export const tenantName = (index: number): string => `tenant-${String(index).padStart(4, "0")}`;

/** The public host of a control plane. */
export const hostOf = (tenant: string): string => `${tenant}.${DOMAIN}`;

/** A host that it may have besides. */
export const secondHostOf = (tenant: string): string => `also-${hostOf(tenant)}`;

/** A certificate of a control plane's hosts, ECDSA P-256. */
export async function issueServed(publicCA: KeyPair, tenant: string): Promise<KeyPair> {
  const dnsNames = [hostOf(tenant), secondHostOf(tenant)];
  return issue(publicCA, { commonName: hostOf(tenant), dnsNames, usages: ["server"] });
}

/** The control planes of a landscape: what their owners have, and nothing that fairlead makes of it. */
export class Landscape {
  #count = 0;

  constructor(
    private readonly stage: ScaleStage,
    readonly controlPlane: ControlPlaneSize,
  ) {}

  get tenants(): readonly string[] {
    return Array.from({ length: this.#count }, (_, index) => tenantName(index));
  }

  /** Makes control planes until there are so many, and an InternalGateway. `onProgress` is told the share. */
  async growTo(count: number, onProgress: (share: number) => void): Promise<void> {
    const { api } = this.stage;
    const before = this.#count;
    this.#count = count;
    const added = this.tenants.slice(before);
    let done = 0;
    await inParallel(added, CONCURRENCY, async (tenant) => {
      await api.createAll(await this.#sourcesOf(tenant));
      done += 1;
      onProgress(done / added.length);
    });
    // Those of a run before were in the way when it was cleared.
    await inParallel(this.tenants.slice(0, before), CONCURRENCY, async (tenant) => {
      await api.createAll(this.#podsOf(tenant));
    });
    await this.#untilOthersAreDone();
    await api.create(internalGateway(GATEWAY_NAMESPACE));
    await inParallel(this.tenants, CONCURRENCY, async (tenant) => {
      await api.create(this.#serverOf(tenant));
    });
  }

  /** Takes away what has been derived, by fairlead, which must run: HostedAPIServers and the InternalGateway go. */
  async clear(): Promise<void> {
    const { api } = this.stage;
    await inParallel(this.tenants, CONCURRENCY, async (tenant) => {
      // Routed Pods would be waited for.
      for (const pod of this.#podsOf(tenant)) await api.remove(refOf(pod));
      await api.remove({ kind: "HostedAPIServer", namespace: tenant, name: NAME });
    });
    await this.#untilNone("HostedAPIServer");
    await api.remove({ kind: "InternalGateway", namespace: GATEWAY_NAMESPACE, name: "default" });
    await this.#untilNone("InternalGateway");
  }

  async #sourcesOf(tenant: string): Promise<readonly AnyObject[]> {
    const { hosted, publicCA } = this.stage;
    const { serverCA, clientCA, frontProxyCA } = hosted.keys;
    const server = await issueServed(publicCA, tenant);
    // The last one is the ready-made proxy client certificate, which is not used.
    const sources = sourceObjects(tenant, {
      serverCA,
      clientCA,
      frontProxyCA,
      server,
      proxyClient: server,
    }).slice(0, -1);
    const { pods } = this.controlPlane;
    const address = hosted.replicas[0]?.place.address ?? "";
    const ports = [{ name: "https", port: 443 }];
    return [
      namespace(tenant),
      ...sources,
      service(tenant, "kube-apiserver", { ports }),
      endpointSlice(tenant, "kube-apiserver", { addresses: [address], port: 443 }),
      ...(pods === 0 ? [] : MORE_SERVICES.map((name) => service(tenant, name))),
      ...this.#podsOf(tenant),
    ];
  }

  #podsOf(tenant: string): readonly AnyObject[] {
    return Array.from({ length: this.controlPlane.pods }, (_, index) => {
      const pod = routedPod(tenant, `pod-${index}`);
      return { ...pod, spec: { ...pod.spec, nodeName: "node-zone-1" } };
    });
  }

  #serverOf(tenant: string): AnyObject {
    return hostedAPIServer(tenant, NAME, {
      kubernetesVersion: this.stage.hosted.kubernetesVersion,
      hosts: [hostOf(tenant)],
      certificates: issuedCertificates,
      ...(this.controlPlane.pods === 0 ? {} : { topologyAware: { enabled: true } }),
    });
  }

  /** Every namespace gets a ConfigMap of istiod's and one of kube-controller-manager's, in their own time. */
  async #untilOthersAreDone(): Promise<void> {
    for (const name of ["istio-ca-root-cert", "kube-root-ca.crt"]) {
      await eventually(
        async () => {
          const found = await countOf(this.stage.api, name);
          if (found < this.#count) throw new Error(`${found} of ${this.#count} ${name}`);
        },
        { timeoutMs: 180_000, pollMs: 500 },
      );
    }
  }

  async #untilNone(kind: Kind): Promise<void> {
    await eventually(
      async () => {
        const { length } = await this.stage.api.list(kind);
        if (length > 0) throw new Error(`${length} of ${kind} are left`);
      },
      { timeoutMs: 180_000, pollMs: 500 },
    );
  }
}

async function countOf(api: Api, configMap: string): Promise<number> {
  const path = `/api/v1/configmaps?fieldSelector=metadata.name=${configMap}`;
  return (await api.read<{ items: readonly unknown[] }>(path)).items.length;
}
