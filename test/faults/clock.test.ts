import { createCA, issue } from "../cluster";
import { X509Certificate } from "node:crypto";
import { createAdvancingClock } from "../harness/advancing-clock";
import type { AnyObject, Ref } from "../harness/api";
import { eventually } from "../harness/eventually";
import { startInProcess } from "../harness/in-process";
import { decode } from "../harness/objects";
import { conditionsOf, START_TIMEOUT_MS, untilCondition } from "../harness/stage";
import { hostOf } from "../harness/tenant";
import { setSecret } from "./changes";
import { fault } from "./fault";
import { GATEWAYS, setFaultStage, type FaultStage } from "./stage";

jest.setTimeout(300_000);

const DAY_MS = 86_400_000;
const TENANT = "tenant-1";
/** A little more than half of the 30 days for which fairlead's own certificates are valid. */
const RENEWAL_DAYS = 16;
const RENEWALS = 3;

describe("certificates, while the clock is put forward", () => {
  const clock = createAdvancingClock();
  let stage: FaultStage;
  const hapi: Ref = { kind: "HostedAPIServer", namespace: TENANT, name: "main" };

  /** The Secrets that status names, whole. */
  const copies = async (): Promise<readonly AnyObject[]> => {
    const { credentials = {} } = (await stage.api.get(hapi)).status as {
      credentials?: Readonly<Record<string, string>>;
    };
    return Promise.all(
      Object.values(credentials).map(async (name) =>
        stage.api.get({ kind: "Secret", namespace: GATEWAYS, name }),
      ),
    );
  };

  const copyOf = async (use: "tls" | "istio-mtls"): Promise<AnyObject | undefined> =>
    (await copies()).find(({ metadata }) => metadata.name?.startsWith(`${TENANT}-main-${use}-`));

  const proxyClient = async () => {
    const found = await copyOf("istio-mtls");
    const { cert = "" } = decode(found);
    const { validFrom, validTo } = new X509Certificate(cert);
    const nowMs = clock.nowMs();
    return {
      name: found?.metadata.name ?? "",
      isValid: Date.parse(validFrom) <= nowMs && nowMs <= Date.parse(validTo),
    };
  };

  beforeAll(async () => {
    stage = await setFaultStage({
      tenants: [TENANT],
      fairlead: { processes: [] },
      beside: async (kubeconfigPath) => startInProcess({ kubeconfigPath, clock, drainMs: 1_000 }),
    });
  }, START_TIMEOUT_MS);

  afterAll(async () => {
    clock.stop();
    await stage.stop();
  });

  fault("clock put forward past renewals", async () => {
    const lost: string[] = [];
    let convergedMs = 0;
    const names = new Set<string>();
    for (let renewal = 0; renewal < RENEWALS; renewal += 1) {
      names.add((await proxyClient()).name);
      clock.advance(RENEWAL_DAYS * DAY_MS);
      await eventually(async () => {
        expect(names).not.toContain((await proxyClient()).name);
      });
      const verdict = await stage.witness.verdict();
      const { name, isValid } = await proxyClient();
      lost.push(...verdict.lost, ...(isValid ? [] : [`${name} is not valid`]));
      convergedMs = Math.max(convergedMs, verdict.convergedMs);
    }
    return {
      did: `fairlead's clock put forward by ${RENEWAL_DAYS} days, ${RENEWALS} times: a new client certificate each time`,
      lost,
      convergedMs,
    };
  });

  fault("certificates expired while they serve", async () => {
    const before = decode(await copyOf("tls"));
    clock.advance(400 * DAY_MS);
    const seen = await untilCondition(
      stage.api,
      { namespace: TENANT },
      { type: "ResolvedRefs", status: "False", reason: "Expired" },
    );
    expect(conditionsOf(seen).CredentialsSynced).toMatchObject({ reason: "LastGoodExpired" });
    // The last good copy stays: a gateway without one serves nobody at all.
    const after = decode(await copyOf("tls"));
    const lost = JSON.stringify(after) === JSON.stringify(before) ? [] : ["the last good copy"];
    const authority = await createCA({ commonName: "renewed" });
    const { certificatePem, privateKeyPem } = await issue(authority, {
      commonName: "kube-apiserver",
      dnsNames: [hostOf(TENANT)],
      usages: ["server"],
      notBefore: new Date(clock.nowMs() - DAY_MS),
      notAfter: new Date(clock.nowMs() + DAY_MS * 90),
    });
    await setSecret(
      stage,
      { namespace: TENANT, name: "kube-apiserver" },
      { "tls.crt": certificatePem, "tls.key": privateKeyPem },
    );
    const verdict = await stage.witness.verdict();
    return {
      did: "fairlead's clock put forward by 400 days; the last good copies kept, then the source renewed",
      lost: [...lost, ...verdict.lost],
      convergedMs: verdict.convergedMs,
    };
  });
});
