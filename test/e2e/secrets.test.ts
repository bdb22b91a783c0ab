import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createCA, issue, type KeyPair } from "../cluster";
import type { AnyObject, Ref } from "../harness/api";
import { eventually } from "../harness/eventually";
import { LeakDetector } from "../harness/leaks";
import {
  decode,
  encode,
  internalGateway,
  namespace,
  routeConfigMap,
  routedPod,
  service,
} from "../harness/objects";
import { setStage, START_TIMEOUT_MS, untilCondition, type Stage } from "../harness/stage";
import { givenCertificates, issueServer, makeTenantKeys, tenantObjects } from "../harness/tenant";
import { LARGE_CASES_VERSION } from "./versions";

jest.setTimeout(180_000);

const gateway = "istio-ingress";
const tenant = "tenant";
const detector = new LeakDetector();

const watched = async (name: string, made: Promise<KeyPair>): Promise<KeyPair> => {
  const pair = await made;
  detector.add(name, pair.privateKeyPem);
  return pair;
};

const refTo = (kind: Ref["kind"], inNamespace: string, name: string): Ref => ({
  kind,
  namespace: inNamespace,
  name,
});

describe("the detector", () => {
  it("finds a key in every form that a leak may have", async () => {
    const { privateKeyPem } = await createCA({ commonName: "leaked", algorithm: "rsa" });
    const own = new LeakDetector();
    own.add("leaked", privateKeyPem);
    const forms = [
      privateKeyPem,
      JSON.stringify({ key: privateKeyPem }),
      JSON.stringify(JSON.stringify({ key: privateKeyPem })).replaceAll("\\\\n", "\\n"),
      encode({ key: privateKeyPem }).key ?? "",
      privateKeyPem.split("\n").slice(3, 12).join("\n"),
    ];
    expect(forms.map((form) => own.find(`before ${form} after`))).toEqual(
      forms.map(() => ["leaked"]),
    );
    const { privateKeyPem: another } = await createCA({ commonName: "another", algorithm: "rsa" });
    expect(own.find(another)).toEqual([]);
  });
});

describe("private keys, with both processes at LOG_LEVEL=debug", () => {
  let stage: Stage;

  const setSource = async (name: string, values: Record<string, string>): Promise<unknown> =>
    stage.api.patch(refTo("Secret", tenant, name), { data: encode(values) });

  const until = async (type: string, reason: string): Promise<AnyObject> =>
    untilCondition(stage.api, { namespace: tenant }, { type, reason });

  /** A whole life: created, rotated, broken in every way that handles a key, mended, denied, deleted. */
  const live = async (): Promise<void> => {
    const { api } = stage;
    const keys = await makeTenantKeys(tenant);
    for (const [name, pair] of Object.entries(keys) as [string, KeyPair][]) {
      detector.add(name, pair.privateKeyPem);
    }
    await api.createAll(tenantObjects(tenant, keys));
    await until("CredentialsSynced", "Synced");
    const renewed = await watched("renewed", issueServer(keys.serverCA, tenant));
    const pair = { "tls.crt": renewed.certificatePem, "tls.key": renewed.privateKeyPem };
    await setSource("kube-apiserver", pair);
    const proxyCA = await watched(
      "new front-proxy",
      createCA({ commonName: "new", algorithm: "rsa" }),
    );
    await setSource("ca-front-proxy", {
      "ca.crt": proxyCA.certificatePem,
      "ca.key": proxyCA.privateKeyPem,
    });
    await eventually(async () => {
      const secrets = await api.list("Secret", gateway, "fairlead.dev/use=server");
      expect(decode(secrets[0]).cert).toBe(renewed.certificatePem);
    });
    const issued = async (): Promise<void> => {
      for (const secret of await api.list("Secret", gateway, "fairlead.dev/use=proxy-client")) {
        detector.add(secret.metadata.name ?? "", decode(secret).key ?? "");
      }
    };
    await issued();
    const another = await watched("of another certificate", issueServer(keys.serverCA, tenant));
    // A key that is another certificate's, is cut off, stands where a certificate belongs, or is encoded twice.
    const twice = Buffer.from(renewed.privateKeyPem).toString("base64");
    const faults: readonly (readonly [Record<string, string>, string])[] = [
      [{ "tls.key": another.privateKeyPem }, "KeyMismatch"],
      [{ "tls.key": renewed.privateKeyPem.slice(0, -60) }, "InvalidPrivateKey"],
      [{ "tls.key": twice }, "InvalidPrivateKey"],
      [{ "tls.crt": renewed.privateKeyPem }, "InvalidCertificate"],
      [
        { "tls.crt": renewed.privateKeyPem.replaceAll("PRIVATE KEY", "CERTIFICATE") },
        "InvalidCertificate",
      ],
    ];
    for (const [values, reason] of faults) {
      await setSource("kube-apiserver", { ...pair, ...values });
      await until("ResolvedRefs", reason);
      await setSource("kube-apiserver", pair);
      await until("ResolvedRefs", "Resolved");
    }
    const ready = await watched(
      "ready-made",
      issue(keys.frontProxyCA, { commonName: "front-proxy-client", usages: ["client"] }),
    );
    await setSource("front-proxy-client", {
      "tls.crt": ready.certificatePem,
      "tls.key": ready.privateKeyPem,
    });
    await api.patch(refTo("HostedAPIServer", tenant, "main"), {
      spec: {
        certificates: { proxyClient: { ...givenCertificates.proxyClient, issuer: null } },
        topologyAware: { enabled: true },
      },
    });
    await eventually(async () => {
      const secrets = await api.list("Secret", gateway, "fairlead.dev/use=proxy-client");
      expect(secrets.map((secret) => decode(secret).cert)).toContain(ready.certificatePem);
    });
    await issued();
    await api.createAll([
      service(tenant, "etcd-main-client"),
      routeConfigMap(tenant, { hosts: "", "istio-namespace": gateway }),
    ]);
    await eventually(async () => {
      expect(
        await stage.refusal(["create", "--dry-run=server", "-f", "-"], routedPod(tenant, "denied")),
      ).toContain("names no hosts");
    });
  };

  beforeAll(async () => {
    stage = await setStage({
      version: LARGE_CASES_VERSION,
      objects: [namespace(gateway)],
      fairlead: {
        env: {
          LOG_LEVEL: "debug",
          FAIRLEAD_PEPR_LOG_LEVEL: "debug",
          FAIRLEAD_DRAIN_SECONDS: "1",
        },
      },
    });
    await stage.api.create(internalGateway(gateway));
    for (const mode of ["fairlead-admission", "fairlead-watch"]) {
      const path = join(stage.cluster.directory, `kubeconfig-${mode}`);
      const [user] = (
        JSON.parse(readFileSync(path, "utf8")) as {
          users: readonly { user: { "client-key-data": string } }[];
        }
      ).users;
      detector.add(
        mode,
        Buffer.from(user?.user["client-key-data"] ?? "", "base64").toString("utf8"),
      );
    }
    detector.add(
      "webhook",
      readFileSync(join(stage.cluster.directory, "fairlead/tls.key"), "utf8"),
    );
  }, START_TIMEOUT_MS);

  afterAll(async () => {
    await stage.stop();
  });

  it("are in no event, annotation, condition, or any other object but Secrets, and in no log", async () => {
    await live();
    const events = await stage.api.list("Event");
    const servers = await stage.api.list("HostedAPIServer");
    const others = await Promise.all(
      (["InternalGateway", "Service", "ConfigMap", "Namespace"] as const).map((kind) =>
        stage.api.list(kind),
      ),
    );
    const annotations = (await stage.api.list("Secret")).map(({ metadata }) => metadata);
    expect(events.length).toBeGreaterThan(3);
    expect(servers).toHaveLength(1);
    for (const seen of [events, servers, others, annotations]) {
      expect(detector.find(JSON.stringify(seen))).toEqual([]);
    }
    await stage.api.remove(refTo("HostedAPIServer", tenant, "main"));
    await eventually(async () => {
      expect(await stage.api.list("Secret", gateway)).toEqual([]);
    });
    expect(detector.find(JSON.stringify(await stage.api.list("Event")))).toEqual([]);
    for (const { logPath } of [stage.fairlead.admission, stage.fairlead.watch]) {
      const log = readFileSync(logPath, "utf8");
      // At debug level there is a lot to look through.
      expect(log.split("\n").length).toBeGreaterThan(50);
      expect(log).toContain('"level":20');
      expect(detector.find(log)).toEqual([]);
      expect(log).not.toMatch(/BEGIN [A-Z ]*PRIVATE KEY/);
    }
    expect(detector.size).toBeGreaterThan(10);
  });
});
