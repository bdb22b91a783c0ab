import { setTimeout as sleep } from "node:timers/promises";
import { connect } from "node:tls";
import { ANNOTATION_TRUSTED } from "../../capabilities/webhook/names";
import { parseCertificates, toCertificate } from "../../lib/domain/certificates";
import { webhookRules } from "../../lib/domain/webhook";
import { createCA, issue, type KeyPair } from "../cluster";
import { Refusal, type AnyObject } from "../harness/api";
import { eventually, settled } from "../harness/eventually";
import {
  decode,
  encode,
  namespace,
  pod,
  routeConfigMap,
  routedPod,
  service,
} from "../harness/objects";
import { countRequests } from "../harness/requests";
import { START_TIMEOUT_MS } from "../harness/stage";
import { setWebhookStage, type WebhookStage } from "../harness/webhook-stage";
import { workWhile, type Worked } from "../harness/work-while";
import { LARGE_CASES_VERSION } from "./versions";

jest.setTimeout(600_000);

const DAY_MS = 86_400_000;
const gateway = "istio-ingress";
const system = "pepr-system";
const serverName = "pepr-fairlead.pepr-system.svc";
const configuration = { kind: "MutatingWebhookConfiguration", name: "pepr-fairlead" } as const;
const servingSecret = { kind: "Secret", namespace: system, name: "pepr-fairlead-tls" } as const;
/** A third of it is left when a renewal is due: enough to start watchers anew, for API servers, and for a slow kubelet. */
const validitySeconds = 120;
/** Longer than anything that is waited for here: a renewal, a kubelet, a CA that drains. */
const patience = { timeoutMs: 240_000, pollMs: 500 };

interface Webhook {
  readonly clientConfig: { readonly caBundle?: string };
  readonly [field: string]: unknown;
}

/** A CA and what it issued, as a build of Pepr would bring it: valid for a year, of which `spentDays` are over. */
async function makeDeployed(spentDays: number): Promise<{ ca: KeyPair; leaf: KeyPair }> {
  const startMs = Date.now() - spentDays * DAY_MS;
  const validity = { notBefore: new Date(startMs), notAfter: new Date(startMs + 365 * DAY_MS) };
  const ca = await createCA({ commonName: "Pepr Ephemeral CA", algorithm: "rsa", ...validity });
  const leaf = await issue(ca, {
    commonName: "webhook",
    dnsNames: [serverName],
    usages: ["server"],
    algorithm: "rsa",
    ...validity,
  });
  return { ca, leaf };
}

const dataOf = ({ certificatePem, privateKeyPem }: KeyPair): Record<string, string> =>
  encode({ "tls.crt": certificatePem, "tls.key": privateKeyPem });

describe("fairlead's own webhook", () => {
  let stage: WebhookStage;
  let original: Webhook;

  const webhookOf = (object: AnyObject): Webhook => {
    const [webhook] = object.webhooks as readonly Webhook[];
    if (webhook === undefined) throw new Error("there is no webhook");
    return webhook;
  };
  const readWebhook = async (): Promise<Webhook> => webhookOf(await stage.api.get(configuration));

  /** What API servers trust, as PEM. */
  const bundle = async (): Promise<string> => {
    const { caBundle = "" } = (await readWebhook()).clientConfig;
    return Buffer.from(caBundle, "base64").toString("utf8");
  };

  const fingerprints = (pem: string): readonly string[] => {
    const parsed = parseCertificates(pem);
    return parsed.kind === "parsed" ? parsed.certificates.map(({ sha256 }) => sha256) : [];
  };

  /** Fingerprints of what API servers trust. */
  const trusted = async (): Promise<readonly string[]> => fingerprints(await bundle());

  /** Fingerprints of what fairlead noted as trusted: what somebody takes out meanwhile, it puts back until it drained. */
  const noted = async (): Promise<readonly string[]> => {
    const { metadata } = await stage.api.get(configuration);
    return fingerprints(metadata.annotations?.[ANNOTATION_TRUSTED] ?? "");
  };

  /** The fingerprint of what is in the Secret. */
  const inSecret = async (): Promise<string> =>
    toCertificate(decode(await stage.api.get(servingSecret))["tls.crt"] ?? "").sha256;

  const servedAt = async (port: number): Promise<string> =>
    new Promise((resolve, reject) => {
      const socket = connect({ host: "127.0.0.1", port, rejectUnauthorized: false }, () => {
        resolve(toCertificate(socket.getPeerCertificate().raw).sha256);
        socket.end();
      });
      socket.on("error", reject);
    });

  /** What is in the Secret, once every replica serves it, and one CA alone is trusted and noted. */
  const untilSettled = async (): Promise<string> =>
    eventually(async () => {
      const secret = await inSecret();
      const served = await Promise.all(stage.replicas.map(async ({ port }) => servedAt(port)));
      const anchors = new Set([...(await trusted()), ...(await noted())]);
      if (served.every((each) => each === secret) && anchors.size === 1) return secret;
      throw new Error(`served: ${served.join()}; in the Secret: ${secret}; ${anchors.size} CAs`);
    }, patience);

  /** What watchers wrote, of anything but Events and the first things of a start. */
  const writesSince = async (since: Date): Promise<readonly string[]> => {
    const { writes } = await countRequests(stage.cluster, "watch", { since });
    return writes.filter((write) => /webhookconfigurations|secrets/.test(write));
  };

  const untilQuiet = async (): Promise<void> => {
    const since = new Date();
    await settled(async () => writesSince(since), { quietMs: 2_000 });
  };

  /** Creates a Pod that is to be routed, for a try; throws where it is refused, or was not routed. */
  const admit = async (index: number | string): Promise<void> => {
    const { body } = await stage.api.tryToCreate(routedPod("routed", `pod-${index}`));
    const aliases = body.spec?.hostAliases as readonly unknown[] | undefined;
    if (aliases?.length !== 1) throw new Error("admitted without a host alias");
  };

  /** Tries without a pause while something is done. */
  const underLoad = async (run: () => Promise<unknown>): Promise<Worked> => {
    let index = 0;
    return workWhile(run, async () => {
      index += 1;
      await admit(index);
    });
  };

  const report = (what: string, { tried, lost }: { tried: number; lost: readonly string[] }) =>
    process.stderr.write(`${what}: ${tried} admissions, ${lost.length} lost\n`);

  /** Whatever fairlead writes meanwhile. */
  const setBundle = async (...pems: readonly string[]): Promise<void> =>
    eventually(async () => {
      const live = await stage.api.get(configuration);
      const caBundle = Buffer.from(pems.join("")).toString("base64");
      const webhook = webhookOf(live);
      const webhooks = [{ ...webhook, clientConfig: { ...webhook.clientConfig, caBundle } }];
      await stage.api.replace({ ...live, webhooks });
    });

  beforeAll(async () => {
    stage = await setWebhookStage({
      version: LARGE_CASES_VERSION,
      env: {
        FAIRLEAD_WEBHOOK_VALIDITY_SECONDS: String(validitySeconds),
        FAIRLEAD_DRAIN_SECONDS: "3",
      },
      objects: [
        namespace(gateway),
        namespace("routed"),
        service(gateway, "istio-ingressgateway-internal"),
        routeConfigMap("routed", { hosts: "api.example.com", "istio-namespace": gateway }),
      ],
    });
    original = await readWebhook();
    await Promise.all([...stage.replicas, ...stage.watchers].map(async (each) => each.start()));
    await eventually(async () => admit("first"), patience);
  }, START_TIMEOUT_MS);

  afterAll(async () => {
    await stage.stop();
  });

  it("is brought in line by two watchers at once, and nothing else of it changes", async () => {
    await eventually(async () => {
      expect(await readWebhook()).toEqual({ ...original, ...webhookRules() });
    }, patience);
    expect(await readWebhook()).toMatchObject({
      reinvocationPolicy: "IfNeeded",
      timeoutSeconds: 5,
      failurePolicy: "Fail",
      matchConditions: [{ name: "pods" }, { name: "services" }],
    });
    const { metadata } = await stage.api.get(configuration);
    expect(metadata.managedFields?.map(({ manager }) => manager)).toContain("fairlead-webhook");
    await untilQuiet();
    // A year is left of Pepr's certificate.
    expect(decode(await stage.api.get(servingSecret))["tls.crt"]).toBe(
      decode(stage.manifest.get("Secret/pepr-fairlead-tls"))["tls.crt"],
    );
  });

  it("is set back where somebody edits it, but for what is not fairlead's business", async () => {
    const changed = {
      matchConditions: [],
      reinvocationPolicy: "Never",
      timeoutSeconds: 20,
      namespaceSelector: {},
      failurePolicy: "Ignore",
    };
    const other = {
      name: "another.example.com",
      admissionReviewVersions: ["v1"],
      clientConfig: { url: "https://another.example.com" },
      rules: [],
      sideEffects: "None",
      timeoutSeconds: 20,
    };
    const labels = { "example.com/kept": "true" };
    // Whatever fairlead writes meanwhile.
    const { body } = await eventually(async () => {
      const live = await stage.api.get(configuration);
      const metadata = { ...live.metadata, labels };
      const webhooks = [other, { ...webhookOf(live), ...changed }];
      return stage.api.replace({ ...live, metadata, webhooks });
    });
    const [theirs] = body.webhooks as readonly Webhook[];
    await eventually(async () => {
      const after = await stage.api.get(configuration);
      const [first, second] = after.webhooks as readonly Webhook[];
      expect(second).toEqual({ ...original, ...webhookRules(), failurePolicy: "Ignore" });
      expect(first).toEqual(theirs);
      expect(after.metadata.labels).toEqual(labels);
    }, patience);
    await eventually(async () => {
      const after = await stage.api.get(configuration);
      const [, mended] = after.webhooks as readonly Webhook[];
      await stage.api.replace({ ...after, webhooks: [{ ...mended, failurePolicy: "Fail" }] });
    });
    await untilQuiet();
  });

  it("is deployed again by force alone, since certificates and rules are fairlead's; then it is set back", async () => {
    const manifest = stage.manifest.get("MutatingWebhookConfiguration/pepr-fairlead");
    const apply = ["apply", "--server-side", "--field-manager=pepr", "-f", "-"];
    // The first time, kubectl takes over from whoever created it.
    await stage.kubectl([...apply, "--force-conflicts"], manifest);
    await eventually(async () => {
      expect(await readWebhook()).toEqual({ ...original, ...webhookRules() });
    }, patience);
    const refusal = await stage.refusal(apply, manifest);
    expect(refusal).toContain('conflict with "fairlead-webhook"');
    expect(refusal).toContain("rules");
  });

  it("follows a redeploy with another CA without a fight", async () => {
    const { ca, leaf } = await makeDeployed(0);
    // What was written for the test before is not counted.
    await untilQuiet();
    const since = new Date();
    const load = await underLoad(async () => {
      await setBundle(ca.certificatePem);
      await sleep(1_000);
      await stage.api.patch(servingSecret, { data: dataOf(leaf) });
      await untilSettled();
    });
    report("redeploy, its configuration first", load);
    expect(await trusted()).toEqual([toCertificate(ca.certificatePem).sha256]);
    expect(await inSecret()).toBe(toCertificate(leaf.certificatePem).sha256);
    expect((await writesSince(since)).length).toBeLessThanOrEqual(8);
    await eventually(async () => admit("after"));
  });

  it("follows a redeploy whose Secret comes first", async () => {
    const { ca, leaf } = await makeDeployed(0);
    await untilQuiet();
    const since = new Date();
    const load = await underLoad(async () => {
      await stage.api.patch(servingSecret, { data: dataOf(leaf) });
      await sleep(8_000);
      await setBundle(ca.certificatePem);
      await untilSettled();
    });
    report("redeploy, its Secret first", load);
    expect(await trusted()).toEqual([toCertificate(ca.certificatePem).sha256]);
    expect((await writesSince(since)).length).toBeLessThanOrEqual(10);
    await eventually(async () => admit("after"));
  });

  it("renews its certificate under load, again and again, and no admission is lost", async () => {
    const { ca, leaf } = await makeDeployed(300);
    const seen = new Set<string>();
    const load = await underLoad(async () => {
      await setBundle(await bundle(), ca.certificatePem);
      await sleep(2_000);
      await stage.api.patch(servingSecret, { data: dataOf(leaf) });
      seen.add(await inSecret());
      await eventually(async () => {
        seen.add(await inSecret());
        expect(seen.size).toBeGreaterThanOrEqual(3);
      }, patience);
      await untilSettled();
    });
    report(`renewals of a certificate that is valid for ${validitySeconds} s`, load);
    expect(load.lost).toEqual([]);
    expect(load.tried).toBeGreaterThan(1_000);
    expect(await trusted()).not.toContain(toCertificate(ca.certificatePem).sha256);
  });

  it("ends in line when both watchers are killed in the middle of a renewal, and nothing is lost", async () => {
    const before = await inSecret();
    const load = await underLoad(async () => {
      await eventually(async () => {
        expect((await trusted()).length).toBeGreaterThan(1);
      }, patience);
      await Promise.all(stage.watchers.map(async (watcher) => watcher.stop("SIGKILL")));
      expect(await inSecret()).toBe(before);
      await Promise.all(stage.watchers.map(async (watcher) => watcher.start()));
      await eventually(async () => {
        expect(await inSecret()).not.toBe(before);
      }, patience);
      await untilSettled();
    });
    report("renewal, both watchers killed in its middle", load);
    expect(load.lost).toEqual([]);
  });

  describe("when everything is down at once", () => {
    const everything = () => [...stage.watchers, ...stage.replicas];
    const refusalOf = async (object: AnyObject): Promise<string> =>
      stage.api.tryToCreate(object).then(
        () => "",
        (error: unknown) => (error instanceof Refusal ? error.message : String(error)),
      );
    const comeBack = async (): Promise<string> => {
      await Promise.all(everything().map(async (each) => each.launch()));
      await Promise.all(everything().map(async (each) => each.untilReady()));
      await eventually(async () => admit("back"), patience);
      return untilSettled();
    };

    beforeAll(async () => {
      await Promise.all(everything().map(async (each) => each.stop()));
    });

    it("keeps fairlead's own Pods, and what does not concern it, out of its way", async () => {
      const routed = (where: string) => routedPod(where, "any");
      const refusals = await Promise.all(
        [routed("routed"), routed(system), routed("kube-system"), pod("routed", "plain")].map(
          refusalOf,
        ),
      );
      expect(refusals[0]).toContain("failed calling webhook");
      expect(refusals.slice(1)).toEqual(["", "", ""]);
    });

    it("comes back though its certificate has expired meanwhile", async () => {
      const { ca, leaf } = await makeDeployed(400);
      await setBundle(ca.certificatePem);
      await stage.api.patch(servingSecret, { data: dataOf(leaf) });
      expect(await comeBack()).not.toBe(toCertificate(leaf.certificatePem).sha256);
    });

    it("comes up with a Secret that holds nothing, and a configuration that trusts nobody", async () => {
      await Promise.all(everything().map(async (each) => each.stop()));
      await stage.api.remove(servingSecret);
      const { namespace: inNamespace, name } = servingSecret;
      await stage.api.create({
        apiVersion: "v1",
        kind: "Secret",
        metadata: { namespace: inNamespace, name },
        type: "Opaque",
      });
      const live = await stage.api.get(configuration);
      const { caBundle: _caBundle, ...clientConfig } = webhookOf(live).clientConfig;
      const { annotations: _annotations, ...metadata } = live.metadata;
      const webhooks = [{ ...webhookOf(live), clientConfig }];
      await stage.api.replace({ ...live, metadata, webhooks });
      expect(await comeBack()).toMatch(/^[0-9a-f]{64}$/);
    });
  });
});
