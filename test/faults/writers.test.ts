import { setTimeout as sleep } from "node:timers/promises";
import { issue } from "../cluster";
import type { AnyObject } from "../harness/api";
import { eventually } from "../harness/eventually";
import { startFairlead } from "../harness/fairlead";
import { userOf } from "../harness/hardened";
import { randomFrom } from "../harness/random";
import { START_TIMEOUT_MS, untilCondition } from "../harness/stage";
import { hostOf } from "../harness/tenant";
import { churn, setSecret } from "./changes";
import { fault, type FaultRun } from "./fault";
import { startSecondWriter } from "./second-writer";
import {
  copiesOf,
  emptied,
  endure,
  malformed,
  oversized,
  replaceData,
  type BadSource,
} from "./sources";
import { setFaultStage, type FaultStage } from "./stage";

jest.setTimeout(600_000);

const tenants = ["tenant-1", "tenant-2", "tenant-3"];
/** Everything has to be seen to be in line while it is valid, on a machine that is busy, too. */
const VALIDITY_MS = 30_000;

/** It may be a while until fairlead replaces something that it has read. */
const PATIENCE = { timeoutMs: 120_000 };

describe("fairlead among others who write", () => {
  let stage: FaultStage;
  const random = randomFrom(5);

  beforeAll(async () => {
    stage = await setFaultStage({
      tenants,
      between: "http-proxy",
      fairlead: { processes: ["watch"] },
    });
  }, START_TIMEOUT_MS);

  afterAll(async () => {
    await stage.stop();
  });

  const spoilEach = async (sources: readonly BadSource[], did: string): Promise<FaultRun> => {
    const lost: string[] = [];
    for (const source of sources) lost.push(...(await endure(stage, "tenant-1", source)));
    const verdict = await stage.witness.verdict();
    return { did, lost: [...lost, ...verdict.lost], convergedMs: verdict.convergedMs };
  };

  describe("whose sources go bad", () => {
    fault("source Secrets emptied", async () =>
      spoilEach(emptied, "three sources in turn; the last good copies served on"),
    );

    fault("source Secrets malformed", async () =>
      spoilEach(
        malformed,
        "no certificate, half a key, half a CA, no CA key, in turn; the last good copies served on",
      ),
    );

    fault("source Secrets of 1 MiB", async () =>
      spoilEach(
        oversized,
        "a bundle of CAs that leaves no room for a key; the last good copies served on",
      ),
    );

    fault("source Secrets of two tenants swapped", async () => {
      const [one, other] = tenants.map((namespace) => ({ namespace, name: "kube-apiserver" }));
      if (one === undefined || other === undefined) throw new Error("two tenants are needed");
      const [first, second] = (await Promise.all(
        [one, other].map(async (place) => stage.api.get({ kind: "Secret", ...place })),
      )) as [AnyObject, AnyObject];
      const copies = async () =>
        (
          await Promise.all([one, other].map(async ({ namespace }) => copiesOf(stage, namespace)))
        ).join();
      const before = await copies();
      await replaceData(stage, first, second.data ?? {});
      await replaceData(stage, second, first.data ?? {});
      for (const { namespace } of [one, other]) {
        const refused = { type: "ResolvedRefs", status: "False", reason: "HostNotCovered" };
        await untilCondition(stage.api, { namespace }, refused);
      }
      const lost = (await copies()) === before ? [] : ["a copy holds another tenant's key"];
      await replaceData(stage, first, first.data ?? {});
      await replaceData(stage, second, second.data ?? {});
      const verdict = await stage.witness.verdict();
      return {
        did: "certificate and key of two tenants; neither was copied to the other",
        lost: [...lost, ...verdict.lost],
        convergedMs: verdict.convergedMs,
      };
    });

    fault("server certificate valid for seconds", async () => {
      const [tenant = ""] = tenants;
      const place = { namespace: tenant, name: "kube-apiserver" };
      const { serverCA } = stage.keysOf(tenant);
      const issueFor = async (ms: number) => {
        const { certificatePem, privateKeyPem } = await issue(serverCA, {
          commonName: "kube-apiserver",
          dnsNames: [hostOf(tenant)],
          usages: ["server"],
          notAfter: new Date(Date.now() + ms),
        });
        return { "tls.crt": certificatePem, "tls.key": privateKeyPem };
      };
      await setSecret(stage, place, await issueFor(VALIDITY_MS));
      await stage.witness.converged();
      const before = await copiesOf(stage, tenant);
      const expired = { type: "ResolvedRefs", status: "False", reason: "Expired" };
      await untilCondition(stage.api, { namespace: tenant }, expired);
      const lost =
        (await copiesOf(stage, tenant)).join() === before.join() ? [] : ["the last good copy"];
      await setSecret(stage, place, await issueFor(86_400_000));
      const verdict = await stage.witness.verdict();
      return {
        did: `valid for ${VALIDITY_MS / 1000} s, expired while it was served, then renewed`,
        lost: [...lost, ...verdict.lost],
        convergedMs: verdict.convergedMs,
      };
    });
  });

  fault("another writer of the same objects", async () => {
    const since = new Date();
    const writer = startSecondWriter(stage, random);
    await churn(stage, { count: 40, tenants, random });
    await sleep(5_000);
    const conflicts = async () => {
      const events = await stage.cluster.auditEvents({ user: userOf("watch"), since });
      return events.filter(({ responseStatus }) => responseStatus?.code === 409).length;
    };
    // The writer goes on until its first one.
    await eventually(async () => {
      expect(await conflicts()).toBeGreaterThan(0);
    }, PATIENCE);
    const writes = await writer.stop();
    const count = await conflicts();
    return {
      ...(await stage.witness.verdict()),
      did: `${writes} edits and deletions of fairlead's objects during 40 changes: ${count} conflicts`,
    };
  });

  fault("two watch processes at once", async () => {
    const second = await startFairlead(stage.forFairlead, {
      processes: ["watch"],
      name: "second-fairlead",
      env: { FAIRLEAD_DRAIN_SECONDS: "1", FAIRLEAD_GRACE_SECONDS: "1" },
    });
    try {
      await churn(stage, { count: 60, tenants, random });
      const verdict = await stage.witness.verdict();
      return { ...verdict, did: "60 changes, of which both heard" };
    } finally {
      await second.stop();
    }
  });
});
