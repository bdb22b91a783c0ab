import { createCA, issue, type Client, type DataPlane, type KeyPair } from "../cluster";
import type { HostedAccess, HostedAPIServer, HostedRequest, User } from "../cluster";
import type { AnyObject, Api, Ref } from "./api";
import { eventually } from "./eventually";
import { encode, hostedAPIServer, pod } from "./objects";
import { untilCondition } from "./stage";
import { hostOf, issuedCertificates, sourceObjects, type TenantKeys } from "./tenant";

/** What tenants are added to. */
export interface TenantGround {
  readonly api: Api;
  readonly plane: DataPlane;
}

/** A control plane with real kube-apiservers, and the HostedAPIServer `main` that exposes them. */
export interface TenantRequest
  extends Pick<HostedRequest, "kubernetesVersion" | "shutdownDelaySeconds" | "flags"> {
  /** Its namespace; the host is `api.<name>.example.com`. */
  readonly name: string;
  /** Zone of each API server; default: three in "zone-1", "zone-2" and "zone-1". */
  readonly replicaZones?: readonly string[];
  /** Default "L7". */
  readonly loadBalancing?: "Auto" | "L7" | "L4";
  /** Signs what the API servers show the gateway, where flags give them such a certificate; default: their own CA. */
  readonly serverCA?: KeyPair;
  /** More of the HostedAPIServer's spec, and winning. */
  readonly spec?: Readonly<Record<string, unknown>>;
}

/** Who a client is to the hosted cluster. */
export type Identity =
  | { readonly user: User }
  | { readonly account: { readonly namespace: string; readonly name: string } };

/** A Pod that the management cluster admitted, as its programs see it. */
export interface ClientPod extends Client {
  /** As the API server answered it: with host aliases, if it is routed. */
  readonly pod: AnyObject;
}

/** A tenant that is exposed, or going to be. */
export interface ExposedTenant {
  readonly namespace: string;
  readonly host: string;
  readonly hosted: HostedAPIServer;
  /** The HostedAPIServer. */
  readonly ref: Ref;
  /** Its sources of certificates, by what signs or is signed; `server` is what the gateway serves. */
  readonly keys: TenantKeys;
  /** Signs what the gateway serves in L7. */
  readonly publicCA: KeyPair;
  /** What clients trust: the CA of what is served in L7, and that of the API servers' own certificate, for L4. */
  readonly caPem: string;
  /** Waits until the HostedAPIServer, as it is now, is Ready. */
  untilReady(): Promise<AnyObject>;
  /** Changes the spec of the HostedAPIServer by a merge patch. */
  patchSpec(patch: object): Promise<void>;
  /** Writes the texts of a source: a Secret, or a ConfigMap. */
  writeSource(
    kind: "Secret" | "ConfigMap",
    name: string,
    values: Readonly<Record<string, string>>,
  ): Promise<void>;
  /**
   * Creates a Pod that asks to be routed, and gives a client the host aliases that it was admitted with: none, as long
   * as there is no route.
   */
  addClient(request: { readonly name: string; readonly zone?: string }): Promise<ClientPod>;
  /** Writes a kubeconfig for the public host. */
  kubeconfigFor(identity: Identity): Promise<string>;
  /** Deletes the HostedAPIServer, waits until that is gone, and ends the API servers. Its clients must be gone. */
  remove(): Promise<void>;
}

const DEFAULT_ZONES = ["zone-1", "zone-2", "zone-1"];

async function makeKeys(hosted: HostedAPIServer, tenant: string) {
  const publicCA = await createCA({ commonName: `${tenant} public CA` });
  const { serverCA, clientCA, frontProxyCA } = hosted.keys;
  const [server, proxyClient] = await Promise.all([
    issueServed(publicCA, hostOf(tenant)),
    issue(frontProxyCA, { commonName: "front-proxy-client", usages: ["client"] }),
  ]);
  return { publicCA, keys: { serverCA, clientCA, frontProxyCA, server, proxyClient } };
}

/** A certificate of a host, as a public CA gives it. */
export async function issueServed(publicCA: KeyPair, host: string): Promise<KeyPair> {
  return issue(publicCA, { commonName: host, dnsNames: [host], usages: ["server"] });
}

function clientManifest(tenant: string, name: string, zone: string): AnyObject {
  // As the scheduler would: kwok plays the Pods of its Nodes.
  const manifest = pod(tenant, name, { nodeName: `node-${zone}` });
  return {
    ...manifest,
    metadata: { ...manifest.metadata, labels: { "fairlead.dev/route": "true" } },
  };
}

async function addClient(
  { api, plane }: TenantGround,
  tenant: string,
  request: { readonly name: string; readonly zone?: string },
): Promise<ClientPod> {
  const { name, zone = "zone-1" } = request;
  const { body } = await api.create(clientManifest(tenant, name, zone));
  const { hostAliases = [] } = body.spec as {
    hostAliases?: { ip: string; hostnames: string[] }[];
  };
  const client = await plane.addClient({ name: `${tenant}-${name}`, zone, hostAliases });
  return {
    ...client,
    pod: body,
    async remove() {
      await api.remove({ kind: "Pod", namespace: tenant, name });
      await client.remove();
    },
  };
}

async function untilGone(api: Api, ref: Ref): Promise<void> {
  await eventually(async () => {
    if ((await api.find(ref)) !== undefined) throw new Error(`${ref.name} is still there`);
  });
}

async function accessOf(
  hosted: HostedAPIServer,
  identity: Identity,
  access: Required<Pick<HostedAccess, "server" | "caPem">>,
): Promise<string> {
  if ("user" in identity) return hosted.kubeconfigFor(identity.user, access);
  const { account } = identity;
  const token = await hosted.tokenFor(account);
  return hosted.kubeconfigFor({ name: account.name, groups: [] }, { ...access, token });
}

/**
 * Starts the API servers of a tenant, puts their own keys into the Secrets that its HostedAPIServer names, and creates
 * that. What the gateway serves is a certificate of another CA, as of a public one.
 */
export async function addTenant(
  ground: TenantGround,
  request: TenantRequest,
): Promise<ExposedTenant> {
  const { api, plane } = ground;
  const { name: namespace, replicaZones: zones = DEFAULT_ZONES, ...versions } = request;
  const host = hostOf(namespace);
  const { loadBalancing = "L7", serverCA, spec, ...hostedRequest } = versions;
  const hosted = await plane.addHostedAPIServer({
    ...hostedRequest,
    namespace,
    zones,
    dnsNames: [host],
  });
  const { publicCA, keys: own } = await makeKeys(hosted, namespace);
  const keys = { ...own, ...(serverCA === undefined ? {} : { serverCA }) };
  const ref: Ref = { kind: "HostedAPIServer", namespace, name: "main" };
  await api.createAll([
    ...sourceObjects(namespace, keys),
    hostedAPIServer(namespace, ref.name, {
      kubernetesVersion: hosted.kubernetesVersion,
      certificates: issuedCertificates,
      loadBalancing,
      ...spec,
    }),
  ]);
  const caPem = `${publicCA.certificatePem}${hosted.keys.serverCA.certificatePem}`;
  return {
    namespace,
    host,
    hosted,
    ref,
    keys,
    publicCA,
    caPem,
    async untilReady() {
      const { metadata } = await api.get(ref);
      const observedGeneration = metadata.generation ?? 0;
      const ready = { type: "Ready", status: "True", observedGeneration };
      return untilCondition(api, { namespace }, ready);
    },
    async patchSpec(patch) {
      await api.patch(ref, { spec: patch });
    },
    async writeSource(kind, name, values) {
      const data = kind === "Secret" ? encode(values) : values;
      await api.patch({ kind, namespace, name }, { data });
    },
    addClient: async (client) => addClient(ground, namespace, client),
    kubeconfigFor: async (identity) =>
      accessOf(hosted, identity, { server: `https://${host}`, caPem }),
    async remove() {
      await api.remove(ref);
      await untilGone(api, ref);
      await hosted.remove();
    },
  };
}
