import type { HostedAPIServer } from "../../../lib/api";
import type { EmbeddedCluster } from "../../../test/cluster";
import { factsOf, fingerprint, type SecretFacts } from "../copies";
import { formatDuration, type Figures } from "../figures";
import type { Secret } from "../objects";
import { watchFor, type Sightings } from "../sightings";
import { kubectl, until, type Stage } from "../stage";
import { issueServer, tlsSecret } from "../tenant-keys";
import { GATEWAY_NAMESPACE } from "./gateway";
import type { Tenants } from "./tenants";

const short = (sha256: string | undefined): string => `${sha256?.slice(0, 16) ?? "–"}…`;

function shown({ name, certificate }: SecretFacts): object {
  return {
    Secret: `${GATEWAY_NAMESPACE}/${name}`,
    certificate: { expires: certificate?.notAfter, sha256: short(certificate?.sha256) },
  };
}

const sourceSha = ({ data }: Secret): string | undefined => {
  const pem = data?.["tls.crt"];
  return pem === undefined ? undefined : fingerprint(Buffer.from(pem, "base64").toString("utf8"));
};

const copySha = (copy: Secret): string | undefined => factsOf(copy).certificate?.sha256;

/** Watches of the source and of its copies. */
interface Watches {
  readonly source: Sightings<Secret>;
  readonly copies: Sightings<Secret>;
}

async function openWatches(stage: Stage): Promise<Watches> {
  const secrets = { apiVersion: "v1", kind: "Secret" };
  return {
    source: await watchFor<Secret>(stage, {
      ...secrets,
      namespace: "tenant-a",
      fieldSelector: "metadata.name=kube-apiserver",
    }),
    copies: await watchFor<Secret>(stage, {
      ...secrets,
      namespace: GATEWAY_NAMESPACE,
      labelSelector: "fairlead.dev/namespace=tenant-a,fairlead.dev/use=server",
    }),
  };
}

/**
 * From the answer to the write of the source to the answer to the write of the copy, by the API server's own audit log;
 * undefined where there is none to read. What this process sees by its watches is late by what else it does.
 */
async function timeByAudit(
  { cluster }: Stage,
  since: Date,
  copyName: string,
): Promise<number | undefined> {
  if (!("auditEvents" in cluster)) return undefined;
  const writes = async (namespace: string, name: string): Promise<number | undefined> => {
    const [event] = await (cluster as EmbeddedCluster).auditEvents({
      ...{ resource: "secrets", stage: "ResponseComplete", verbs: ["patch", "update"] },
      ...{ namespace, name, since },
    });
    // RFC 3339 with microseconds, of which Date.parse keeps the milliseconds.
    return event === undefined ? undefined : Date.parse(event.stageTimestamp);
  };
  const changedMs = await writes("tenant-a", "kube-apiserver");
  const copiedMs = await writes(GATEWAY_NAMESPACE, copyName);
  return changedMs === undefined || copiedMs === undefined ? undefined : copiedMs - changedMs;
}

async function rotate(
  stage: Stage,
  tenants: Tenants,
  watches: Watches,
): Promise<Pick<Figures, "rotationToCopyMs">> {
  const { tell } = stage;
  const { source, copies } = watches;
  const oldSha = fingerprint(tenants.a.server.certificatePem);
  const before = await copies.first("the copy exists", (copy) => copySha(copy) === oldSha);
  const renewed = await issueServer(tenants.a.publicCA, tenants.a.host, 120);
  stage.privateKeys.push(renewed.privateKeyPem);
  const newSha = fingerprint(renewed.certificatePem);
  const secret = tlsSecret("tenant-a", "kube-apiserver", renewed);
  const since = new Date();
  await kubectl(stage, ["apply", "--server-side", "-f", "-"], secret);
  const changed = await source.first("the source is changed", (s) => sourceSha(s) === newSha);
  const copied = await copies.first("the copy follows", (copy) => copySha(copy) === newSha);
  const audited = await timeByAudit(stage, since, copied.object.metadata.name);
  const tookMs = audited ?? Math.max(0, copied.atMs - changed.atMs);
  const after = factsOf(copied.object);
  tell.change(
    "The copy, before and after (the private key is there too, and never shown):",
    shown(factsOf(before.object)),
    shown(after),
  );
  tell.claim(
    `the copy is the renewed certificate, ${formatDuration(tookMs)} after its source changed`,
    after.certificate?.sha256 === newSha,
  );
  tell.claim(
    "it is the same Secret, so that connections, exec and watches go on",
    copied.object.metadata.uid === before.object.metadata.uid,
  );
  tell.claim(
    "in every state that a watch saw, certificate and key belonged together",
    copies.all.every(({ object }) => factsOf(object).belongTogether),
  );
  const ref = {
    apiVersion: "fairlead.dev/v1alpha1",
    kind: "HostedAPIServer",
    namespace: "tenant-a",
    name: "tenant-a",
  };
  await until(stage, "status shows the renewed certificate", async () => {
    const hapi = await stage.client.get<HostedAPIServer>(ref);
    const server = hapi?.status?.certificates?.find(({ use }) => use === "server");
    return server?.sha256 === newSha ? true : undefined;
  });
  tell.claim("status.certificates shows it: its expiry can be alerted on", true);
  return { rotationToCopyMs: tookMs };
}

/**
 * A certificate is rotated and its copy follows.
 * @throws {StoryError} when the cluster does not show what the story says.
 */
export async function tellRotation(
  stage: Stage,
  tenants: Tenants,
): Promise<Pick<Figures, "rotationToCopyMs">> {
  stage.tell.chapter("A certificate is rotated");
  const watches = await openWatches(stage);
  try {
    return await rotate(stage, tenants, watches);
  } finally {
    watches.source.stop();
    watches.copies.stop();
  }
}
