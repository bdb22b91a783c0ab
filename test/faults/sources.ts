import { createCA } from "../cluster";
import type { AnyObject, Ref } from "../harness/api";
import { encode } from "../harness/objects";
import { untilCondition } from "../harness/stage";
import { GATEWAYS, type FaultStage } from "./stage";

type SecretData = Readonly<Record<string, string>>;

/** How a source goes bad. */
export interface BadSource {
  readonly secret: "kube-apiserver" | "ca" | "ca-front-proxy";
  /** What its data becomes, from what it was. */
  readonly spoil: (data: SecretData) => SecretData | Promise<SecretData>;
  /** What ResolvedRefs says of it. */
  readonly reason: string;
}

/** Below the 1 MiB that a Secret may hold by less than what a proxy client certificate takes beside it. */
const LARGE_BYTES = 1_044_500;
/** Of one certificate's name; longer ones can't be made. */
const MAX_NAME_CHARACTERS = 50_000;
/** A certificate but for its name, which is in it twice, as subject and as issuer. */
const FRAME_BYTES = 450;
/** PEM is base64 in lines. */
const PEM_GROWTH = (4 / 3) * (65 / 64);

/** A bundle of CAs with long names, of almost 1 MiB. */
async function largeBundle(): Promise<string> {
  let bundle = "";
  while (LARGE_BYTES - bundle.length > 2_000) {
    const room = ((LARGE_BYTES - bundle.length) / PEM_GROWTH - FRAME_BYTES) / 2;
    const commonName = "x".repeat(Math.min(MAX_NAME_CHARACTERS, Math.floor(room)));
    bundle += (await createCA({ commonName })).certificatePem;
  }
  return bundle;
}

/** A Secret that holds nothing. */
export const emptied: readonly BadSource[] = (
  ["kube-apiserver", "ca", "ca-front-proxy"] as const
).map((secret) => ({ secret, spoil: () => ({}), reason: "KeyNotFound" }));

const half = (text: string): string => text.slice(0, Math.floor(text.length / 8) * 4);

/** Text that is no certificate, half a key, another's key, a leaf where a CA is to be. */
export const malformed: readonly BadSource[] = [
  {
    secret: "kube-apiserver",
    spoil: (data) => ({ ...data, ...encode({ "tls.crt": "no certificate" }) }),
    reason: "InvalidCertificate",
  },
  {
    secret: "kube-apiserver",
    spoil: (data) => ({ ...data, "tls.key": half(data["tls.key"] ?? "") }),
    reason: "InvalidPrivateKey",
  },
  {
    secret: "ca",
    spoil: (data) => ({ "ca.crt": half(data["ca.crt"] ?? "") }),
    reason: "InvalidCertificate",
  },
  {
    secret: "ca-front-proxy",
    spoil: (data) => ({ ...data, ...encode({ "ca.key": "no key" }) }),
    reason: "InvalidPrivateKey",
  },
];

/** As much as an API server takes, which is too much together with what is issued by it. */
export const oversized: readonly BadSource[] = [
  {
    secret: "ca",
    spoil: async () => encode({ "ca.crt": await largeBundle() }),
    reason: "TooLarge",
  },
];

const secretRef = (namespace: string, name: string): Ref => ({ kind: "Secret", namespace, name });

/** What was handed out for a tenant, down to its version. */
export async function copiesOf({ api }: FaultStage, tenant: string): Promise<readonly string[]> {
  const copies = await api.list("Secret", GATEWAYS, `fairlead.dev/namespace=${tenant}`);
  return copies.map(({ metadata: { name, uid, resourceVersion } }) =>
    [name, uid, resourceVersion].join(" "),
  );
}

/** Puts other data in place of a Secret's. */
export async function replaceData(
  { api }: FaultStage,
  object: AnyObject,
  data: SecretData,
): Promise<void> {
  const { metadata } = await api.get(
    secretRef(object.metadata.namespace ?? "", object.metadata.name ?? ""),
  );
  const { resourceVersion = "" } = metadata;
  await api.replace({ ...object, metadata: { ...object.metadata, resourceVersion }, data });
}

/**
 * Spoils a source of a tenant's, waits until its status says so, and puts it right again.
 * @returns What was lost: copies that did not stay as they were.
 */
export async function endure(
  stage: FaultStage,
  tenant: string,
  { secret, spoil, reason }: BadSource,
): Promise<readonly string[]> {
  const source = await stage.api.get(secretRef(tenant, secret));
  const before = await copiesOf(stage, tenant);
  await replaceData(stage, source, await spoil(source.data ?? {}));
  const bad = { type: "ResolvedRefs", status: "False", reason };
  await untilCondition(stage.api, { namespace: tenant }, bad);
  const serving = { type: "CredentialsSynced", status: "True", reason: "ServingLastGood" };
  await untilCondition(stage.api, { namespace: tenant }, serving);
  const after = await copiesOf(stage, tenant);
  await replaceData(stage, source, source.data ?? {});
  await untilCondition(stage.api, { namespace: tenant }, { type: "ResolvedRefs", status: "True" });
  return before.join() === after.join()
    ? []
    : [`copies of ${tenant}, when ${secret} was ${reason}`];
}
