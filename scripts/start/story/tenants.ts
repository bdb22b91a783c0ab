import { createPrivateKey, X509Certificate } from "node:crypto";
import type { HostedAPIServer } from "../../../lib/api";
import { conditionRows, conditionsHead, findCondition, findStatus } from "../conditions";
import {
  factsHead,
  factsOf,
  factsRow,
  fingerprint,
  holdsPrivateKey,
  type SecretFacts,
} from "../copies";
import type { Figures } from "../figures";
import { coreRef, serviceManifest, type Secret, type Service } from "../objects";
import { watchFor } from "../sightings";
import { kubectl, listOf, mustKubectl, type Stage } from "../stage";
import {
  createTenantKeys,
  fullSources,
  privateKeysOf,
  readyMadeSources,
  type TenantKeys,
} from "../tenant-keys";
import { GATEWAY_NAMESPACE } from "./gateway";

/** What later chapters know of the tenants. */
export interface Tenants {
  readonly a: TenantKeys;
  readonly b: TenantKeys;
  /** Services as they were before there was a HostedAPIServer, and as they are now. */
  readonly etcd: { readonly before: Service; readonly after: Service };
}

type TenantFigures = Pick<Figures, "credentialsSyncedMs" | "serviceInLineMs">;

const namespaceManifest = (name: string): object => ({
  apiVersion: "v1",
  kind: "Namespace",
  metadata: { name },
});

async function makeControlPlanes(stage: Stage): Promise<Omit<Tenants, "etcd">> {
  const [a, b] = await Promise.all([
    createTenantKeys("tenant-a", "tenant-a.clusters.example.com"),
    createTenantKeys("tenant-b", "tenant-b.clusters.example.com"),
  ]);
  stage.privateKeys.push(...privateKeysOf(a), ...privateKeysOf(b));
  await mustKubectl(
    stage,
    ["apply", "--server-side", "-f", "-"],
    listOf([
      ...["tenant-a", "tenant-b", "tenant-c"].map(namespaceManifest),
      ...fullSources("tenant-a", a),
      ...readyMadeSources("tenant-b", b),
      ...["tenant-a", "tenant-b", "tenant-c"].map((namespace) =>
        serviceManifest(namespace, "kube-apiserver", 443),
      ),
      serviceManifest("tenant-a", "etcd-main-client", 2379),
    ]),
  );
  return { a, b };
}

async function readService(stage: Stage, name: string): Promise<Service | undefined> {
  return stage.client.get<Service>(coreRef("Service", "tenant-a", name));
}

interface Outcome {
  readonly servers: readonly HostedAPIServer[];
  readonly etcd: Service;
  readonly figures: TenantFigures;
}

/** Applies the examples and answers what came of them, with times as watches see them. */
async function applyExamples(stage: Stage): Promise<Outcome> {
  const apiVersion = "fairlead.dev/v1alpha1";
  const servers = await watchFor<HostedAPIServer>(stage, { apiVersion, kind: "HostedAPIServer" });
  const services = await watchFor<Service>(stage, {
    apiVersion: "v1",
    kind: "Service",
    namespace: "tenant-a",
  });
  try {
    for (const file of ["", "-ready-made-client", "-l4"]) {
      await kubectl(stage, ["apply", "-f", `examples/hosted-api-server${file}.yaml`]);
    }
    const appliedMs = async (name: string): Promise<number> => {
      const isIt = ({ metadata }: HostedAPIServer): boolean => metadata.name === name;
      return (await servers.first(`HostedAPIServer ${name} exists`, isIt)).atMs;
    };
    const firstOf = async (what: string, isIt: (hapi: HostedAPIServer) => boolean) =>
      Promise.all(
        ["tenant-a", "tenant-b"].map(async (name) =>
          servers.first(`HostedAPIServer ${name} ${what}`, (hapi) => {
            return hapi.metadata.name === name && isIt(hapi);
          }),
        ),
      );
    const synced = await firstOf("has its credentials synced", (hapi) => {
      return findStatus(hapi, "CredentialsSynced") === "True";
    });
    const settled = await firstOf("has all its conditions", isSettled);
    const etcd = await services.first(
      "Service etcd-main-client is brought in line",
      ({ metadata, spec }) =>
        metadata.name === "etcd-main-client" && spec.trafficDistribution !== undefined,
    );
    const syncedMs = synced.map(async ({ object, atMs }): Promise<[string, number]> => {
      const { name } = object.metadata;
      return [name, atMs - (await appliedMs(name))];
    });
    return {
      servers: settled.map(({ object }) => object),
      etcd: etcd.object,
      figures: {
        credentialsSyncedMs: Object.fromEntries(await Promise.all(syncedMs)),
        serviceInLineMs: Math.max(0, etcd.atMs - (await appliedMs("tenant-a"))),
      },
    };
  } finally {
    servers.stop();
    services.stop();
  }
}

/** Whether all conditions are there that the story shows, and the one that follows from the others has done so. */
function isSettled(hapi: HostedAPIServer): boolean {
  const programmed = findCondition(hapi, "Programmed")?.message ?? "";
  return (
    findStatus(hapi, "Accepted") === "True" &&
    findStatus(hapi, "CredentialsSynced") === "True" &&
    findStatus(hapi, "TopologyAware") !== undefined &&
    findCondition(hapi, "Programmed")?.reason === "Pending" &&
    findCondition(hapi, "Ready")?.message.includes(programmed) === true
  );
}

async function readCopies(stage: Stage, hapi: HostedAPIServer): Promise<readonly Secret[]> {
  const { server, proxyClient } = hapi.status?.credentials ?? {};
  const names = [server, proxyClient].flatMap((name) => name ?? []);
  const found = await Promise.all(
    names.map((name) => stage.client.get<Secret>(coreRef("Secret", GATEWAY_NAMESPACE, name))),
  );
  return found.flatMap((secret) => secret ?? []);
}

const decodeKey = (value: string | undefined): readonly string[] =>
  value === undefined ? [] : [Buffer.from(value, "base64").toString("utf8")];

function checkCopies(stage: Stage, tenant: string, facts: readonly SecretFacts[]): void {
  const server = facts.find(({ use }) => use === "server");
  const client = facts.find(({ use }) => use === "proxy-client");
  stage.tell.claim(
    `${tenant}: two Secrets with cacert, cert and key, each key belonging to its certificate`,
    facts.length === 2 &&
      facts.every(
        ({ keys, belongTogether }) => keys.join() === "cacert,cert,key" && belongTogether,
      ),
    `there are ${facts.map(({ name, keys }) => `${name} (${keys.join(", ")})`).join(" and ") || "none"}`,
  );
  stage.tell.claim(
    `${tenant}: the one for servers can be renewed in place, the one for the proxy client never changes`,
    server?.immutable === false && client?.immutable === true,
  );
}

/** Tenant a: fairlead has issued the proxy client certificate itself, and kept the CA's key to the tenant. */
async function checkIssued(stage: Stage, keys: TenantKeys, copies: readonly Secret[]) {
  const { tell, client } = stage;
  const facts = copies.map(factsOf);
  tell.claim(
    "tenant-a: the server certificate is the tenant's own",
    facts.some(
      ({ certificate }) => certificate?.sha256 === fingerprint(keys.server.certificatePem),
    ),
  );
  const pem = copies.flatMap(({ data, immutable }) =>
    immutable === true ? (data?.cert ?? []) : [],
  );
  const issued = new X509Certificate(Buffer.from(pem[0] ?? "", "base64"));
  const authority = new X509Certificate(keys.frontProxyCA.certificatePem);
  const lifeDays = (Date.parse(issued.validTo) - Date.now()) / 86_400_000;
  tell.claim(
    `tenant-a: fairlead issued ${issued.subject} from the tenant's front-proxy CA, for at most 30 days`,
    issued.verify(authority.publicKey) && issued.checkIssued(authority) && lifeDays <= 30,
    `its issuer is ${issued.issuer} and it ends in ${lifeDays.toFixed(1)} days`,
  );
  const all = await client.list<Secret>({
    apiVersion: "v1",
    kind: "Secret",
    namespace: GATEWAY_NAMESPACE,
  });
  const text = all.items.map(({ data }) => JSON.stringify(data ?? {})).join("");
  const authorities = [keys.frontProxyCA, keys.ca, keys.clientCA].map((ca) => ca.privateKeyPem);
  tell.claim(
    "tenant-a: no CA's private key has come to the gateway's namespace",
    createPrivateKey(keys.frontProxyCA.privateKeyPem).type === "private" &&
      !holdsPrivateKey(text, authorities),
  );
}

function tellStatus(stage: Stage, hapi: HostedAPIServer): void {
  const { tell } = stage;
  const { name } = hapi.metadata;
  tell.text(`Conditions of HostedAPIServer ${name}:`);
  tell.table(conditionsHead, conditionRows(hapi));
  const expected = { Accepted: "True", ResolvedRefs: "True", CredentialsSynced: "True" };
  tell.claim(
    `${name}: Accepted, ResolvedRefs and CredentialsSynced are True`,
    Object.entries(expected).every(([type, status]) => findStatus(hapi, type) === status),
  );
}

/**
 * The control planes' side: two tenants and a small third; their credentials in the gateway's namespace.
 * @throws {StoryError} when the cluster does not show what the story says.
 */
export async function tellTenants(stage: Stage): Promise<Tenants & { figures: TenantFigures }> {
  const { tell } = stage;
  tell.chapter("Control planes ask for it");
  tell.text(
    "Namespaces tenant-a, tenant-b and tenant-c, with Services as a control plane has them, and for a and b",
    "Secrets and ConfigMaps with certificates that were made a moment ago.",
  );
  const keys = await makeControlPlanes(stage);
  const before = await readService(stage, "etcd-main-client");
  const { servers, etcd, figures } = await applyExamples(stage);
  tell.text(`What fairlead has made in namespace ${GATEWAY_NAMESPACE}:`);
  const [ofA = [], ofB = []] = await Promise.all(
    servers.map(async (server) => readCopies(stage, server)),
  );
  tell.table(factsHead, [...ofA, ...ofB].map(factsOf).map(factsRow));
  // One of them was issued by fairlead, and is looked for at the end like the others.
  stage.privateKeys.push(...[...ofA, ...ofB].flatMap(({ data }) => decodeKey(data?.key)));
  checkCopies(stage, "tenant-a", ofA.map(factsOf));
  checkCopies(stage, "tenant-b", ofB.map(factsOf));
  await checkIssued(stage, keys.a, ofA);
  const readyMade = fingerprint(keys.b.proxyClient.certificatePem);
  tell.claim(
    "tenant-b: the proxy client certificate is the ready-made one, and its CAs are from ConfigMaps",
    ofB.map(factsOf).some(({ certificate }) => certificate?.sha256 === readyMade),
  );
  for (const server of servers.slice(0, 1)) tellStatus(stage, server);
  tell.text(
    "Programmed, and so Ready, are False and say why: the gateway's own configuration comes with the",
    "next release. Credentials, Pods and Services are complete.",
  );
  return { ...keys, etcd: { before: before ?? etcd, after: etcd }, figures };
}
