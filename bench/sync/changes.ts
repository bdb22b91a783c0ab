import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import type { KeyPair } from "../../test/cluster";
import { encode } from "../../test/harness/objects";
import type { CopyWatch } from "../scale/copies";
import { issueServed } from "../scale/landscape";
import type { ScaleStage } from "../scale/stage";
import type { Change } from "./latencies";

/** Changes at a rate, whether or not earlier ones have arrived. */
export interface Rate {
  readonly perSecond: number;
  readonly changes: number;
}

/** What came of it. */
export interface Issued {
  readonly changes: readonly Change[];
  /** By how much the latest change was behind its time, in milliseconds: the bench's own fault. */
  readonly lateMs: number;
}

const COPY_TIMEOUT_MS = 30_000;

/** A certificate that a tenant is to have. */
export interface Renewal {
  readonly tenant: string;
  readonly pair: KeyPair;
}

/** Certificates for a rate, one tenant after another; made before the clock starts. */
export async function prepare(
  { publicCA }: Pick<ScaleStage, "publicCA">,
  tenants: readonly string[],
  { changes }: Rate,
): Promise<readonly Renewal[]> {
  const renewals: Renewal[] = [];
  for (let index = 0; index < changes; index += 1) {
    const tenant = tenants[index % tenants.length] ?? "";
    renewals.push({ tenant, pair: await issueServed(publicCA, tenant) });
  }
  return renewals;
}

async function renew({ api }: Pick<ScaleStage, "api">, { tenant, pair }: Renewal): Promise<Change> {
  const data = encode({ "tls.crt": pair.certificatePem, "tls.key": pair.privateKeyPem });
  const ref = { kind: "Secret", namespace: tenant, name: "kube-apiserver" } as const;
  const { body } = await api.patch(ref, { data });
  const answeredMs = performance.now();
  return {
    tenant,
    certificate: data["tls.crt"] ?? "",
    resourceVersion: Number(body.metadata.resourceVersion),
    answeredMs,
  };
}

/**
 * Renews certificates at their times and waits until the last of each tenant has been copied.
 * @throws Error where one is not copied.
 */
export async function issueAt(
  stage: Pick<ScaleStage, "api">,
  renewals: readonly Renewal[],
  { perSecond, copies }: { readonly perSecond: number; readonly copies: CopyWatch },
): Promise<Issued> {
  const startMs = performance.now();
  const asked: Promise<Change>[] = [];
  let lateMs = 0;
  for (const [index, renewal] of renewals.entries()) {
    const dueMs = startMs + (index * 1000) / perSecond;
    const waitMs = dueMs - performance.now();
    if (waitMs > 0) await sleep(waitMs);
    lateMs = Math.max(lateMs, performance.now() - dueMs);
    const change = renew(stage, renewal);
    // What it comes to is asked for when all have been sent.
    change.catch(() => undefined);
    asked.push(change);
  }
  const changes = await Promise.all(asked);
  const last = new Map<string, Change>();
  for (const change of changes) {
    const known = last.get(change.tenant)?.resourceVersion ?? 0;
    if (change.resourceVersion > known) last.set(change.tenant, change);
  }
  for (const { certificate } of last.values()) await copies.until(certificate, COPY_TIMEOUT_MS);
  return { changes, lateMs };
}
