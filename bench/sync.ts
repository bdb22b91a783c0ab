import { performance } from "node:perf_hooks";
import { parseArgs } from "node:util";
import { createProgress } from "../test/cluster";
import { decode, encode, internalGateway, namespace } from "../test/harness/objects";
import { setStage, untilCondition, type Stage } from "../test/harness/stage";
import {
  issueServer,
  makeTenantKeys,
  tenantObjects,
  type TenantKeys,
} from "../test/harness/tenant";
import { printFigures, quantile } from "./figures";

const gateway = "istio-ingress";
const tenantCount = 10;
const copyTimeoutMs = 30_000;

/** Certificates that are waited for in the gateway namespace, and who waits. */
class Arrivals {
  readonly #waiting = new Map<string, (atMs: number) => void>();

  /** Takes note of a Secret that a watch has just shown. */
  note(certificatePem: string): void {
    this.#waiting.get(certificatePem)?.(performance.now());
    this.#waiting.delete(certificatePem);
  }

  /** When the certificate was seen, in milliseconds of the process' own clock. */
  async of(certificatePem: string): Promise<number> {
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => {
        reject(new Error(`no copy within ${copyTimeoutMs} ms`));
      }, copyTimeoutMs);
      this.#waiting.set(certificatePem, (atMs) => {
        clearTimeout(late);
        resolve(atMs);
      });
    });
  }
}

async function createTenants(stage: Stage): Promise<ReadonlyMap<string, TenantKeys>> {
  const all = new Map<string, TenantKeys>();
  for (let index = 1; index <= tenantCount; index += 1) {
    const tenant = `tenant-${index}`;
    const keys = await makeTenantKeys(tenant);
    all.set(tenant, keys);
    await stage.api.createAll(tenantObjects(tenant, keys));
  }
  for (const name of all.keys()) {
    const expected = { type: "CredentialsSynced", status: "True" };
    await untilCondition(stage.api, { namespace: name }, expected);
  }
  return all;
}

/** Renews one certificate after another. The time is from the API server's answer to the watch event of the copy. */
async function measure(stage: Stage, changes: number): Promise<readonly number[]> {
  const tenants = [...(await createTenants(stage))];
  const arrivals = new Arrivals();
  const stopWatching = await stage.api.watch("Secret", gateway, ({ object }) => {
    const { cert } = decode(object);
    if (cert !== undefined) arrivals.note(cert);
  });
  const step = createProgress().step(`${changes} certificates renewed, one at a time`);
  const times: number[] = [];
  for (let change = 0; change < changes; change += 1) {
    const [tenant, keys] = tenants[change % tenants.length] ?? ["", undefined];
    if (keys === undefined) throw new Error("there are no tenants");
    const { certificatePem, privateKeyPem } = await issueServer(keys.serverCA, tenant);
    const arrived = arrivals.of(certificatePem);
    const data = encode({ "tls.crt": certificatePem, "tls.key": privateKeyPem });
    await stage.api.patch({ kind: "Secret", namespace: tenant, name: "kube-apiserver" }, { data });
    const changedMs = performance.now();
    // The watch may be faster than the answer.
    times.push(Math.max(0, (await arrived) - changedMs));
    step.update({ fraction: (change + 1) / changes });
  }
  step.done();
  stopWatching();
  return times;
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { changes: { type: "string", default: "500" } } });
  const changes = Number(values.changes);
  if (!Number.isInteger(changes) || changes < 1) throw new Error("--changes is a positive number");
  const stage = await setStage({ objects: [namespace(gateway)] });
  try {
    await stage.api.create(internalGateway(gateway));
    const times = await measure(stage, changes);
    const [p50Ms = 0, p99Ms = 0, maxMs = 0] = [0.5, 0.99, 1].map(
      (share) => Math.round(quantile(times, share) * 10) / 10,
    );
    console.log(
      `from a renewed certificate to its copy, ${changes} times, ${tenantCount} tenants: p50 ${p50Ms} ms, p99 ${p99Ms} ms, at most ${maxMs} ms`,
    );
    printFigures("sync", { changes, tenants: tenantCount, p50Ms, p99Ms, maxMs });
  } finally {
    await stage.stop();
  }
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
