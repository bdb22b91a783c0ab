import { createPrivateKey, X509Certificate } from "node:crypto";
import type { HostedAPIServer } from "../../../lib/api";
import {
  factsHead,
  factsOf,
  factsRow,
  fingerprint,
  holdsPrivateKey,
  type SecretFacts,
} from "../copies";
import type { TenantName } from "../data-plane";
import { coreRef, type Secret } from "../objects";
import type { Stage } from "../stage";
import type { TenantKeys } from "../tenant-keys";
import { GATEWAY_NAMESPACE } from "./gateway";
import type { Tenants } from "./tenants";

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

function checkCopies({ tell }: Stage, tenant: TenantName, facts: readonly SecretFacts[]): void {
  const server = facts.find(({ use }) => use === "server");
  const client = facts.find(({ use }) => use === "proxy-client");
  tell.claim(
    `${tenant}: two Secrets with cacert, cert and key, each key belonging to its certificate`,
    facts.length === 2 &&
      facts.every(
        ({ keys, belongTogether }) => keys.join() === "cacert,cert,key" && belongTogether,
      ),
    `there are ${facts.map(({ name, keys }) => `${name} (${keys.join(", ")})`).join(" and ") || "none"}`,
  );
  tell.claim(
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
  const authorities = [keys.frontProxyCA, keys.serverCA, keys.clientCA, keys.publicCA].map(
    (ca) => ca.privateKeyPem,
  );
  tell.claim(
    "tenant-a: no CA's private key has come to the gateway's namespace",
    createPrivateKey(keys.frontProxyCA.privateKeyPem).type === "private" &&
      !holdsPrivateKey(text, authorities),
  );
}

/**
 * What of the tenants' credentials has come to the gateway's namespace.
 * @throws {StoryError} when the cluster does not show what the story says.
 */
export async function tellCredentials(stage: Stage, tenants: Tenants): Promise<void> {
  const { tell } = stage;
  tell.chapter("Credentials come to the gateway");
  tell.text(`What fairlead has made in namespace ${GATEWAY_NAMESPACE}:`);
  const [ofA = [], ofB = []] = await Promise.all(
    tenants.servers.map(async (server) => readCopies(stage, server)),
  );
  tell.table(factsHead, [...ofA, ...ofB].map(factsOf).map(factsRow));
  // One of them was issued by fairlead, and is looked for at the end like the others.
  stage.privateKeys.push(...[...ofA, ...ofB].flatMap(({ data }) => decodeKey(data?.key)));
  checkCopies(stage, "tenant-a", ofA.map(factsOf));
  checkCopies(stage, "tenant-b", ofB.map(factsOf));
  await checkIssued(stage, tenants.a, ofA);
  const readyMade = fingerprint(tenants.b.proxyClient.certificatePem);
  tell.claim(
    "tenant-b: the proxy client certificate is the ready-made one, and its CAs are from ConfigMaps",
    ofB.map(factsOf).some(({ certificate }) => certificate?.sha256 === readyMade),
  );
}
