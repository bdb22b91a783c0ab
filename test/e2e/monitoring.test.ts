import { X509Certificate } from "node:crypto";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stringify } from "yaml";
import { dashboardQueries } from "../../deploy/dashboard";
import { ruleGroups } from "../../deploy/objects/alerts";
import { METRICS, type MetricProcess } from "../../lib/cluster/metric-definitions";
import { probe } from "../cluster/http-probe";
import { metricSamples, metricSum } from "../cluster/metrics";
import type { AnyObject } from "../harness/api";
import { eventually, settled } from "../harness/eventually";
import {
  encode,
  hostedAPIServer,
  internalGateway,
  namespace,
  routeConfigMap,
  routedPod,
} from "../harness/objects";
import { promtool } from "../harness/promtool";
import {
  setStage,
  START_TIMEOUT_MS,
  untilCondition,
  type Stage,
  untilRouted,
} from "../harness/stage";
import {
  issuedCertificates,
  makeTenantKeys,
  sourceObjects,
  type TenantKeys,
} from "../harness/tenant";
import { LARGE_CASES_VERSION } from "./versions";

jest.setTimeout(180_000);

describe("Prometheus' own checks", () => {
  let folder: string;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "fairlead-rules-"));
    // Builds it where it is not there yet.
    await promtool(["--version"]);
  }, START_TIMEOUT_MS);
  afterAll(() => {
    rmSync(folder, { recursive: true });
  });

  const write = (name: string, content: unknown): string => {
    const path = join(folder, name);
    writeFileSync(path, stringify(content));
    return path;
  };

  it("find no fault with the alerts", async () => {
    const rules = write("rules.yaml", { groups: ruleGroups() });
    const { exitCode, stdout, stderr } = await promtool([
      ...["check", "rules", "--lint=all", "--lint-fatal", rules],
    ]);

    expect([exitCode, stderr]).toEqual([0, ""]);
    expect(stdout).toContain("SUCCESS: 15 rules found");
  });

  it("see alerts fire when they should, with the words that they should, and not else", async () => {
    write("rules.yaml", { groups: ruleGroups() });
    const tests = join(folder, "alerts.yaml");
    copyFileSync(join(__dirname, "fixtures", "alerts.yaml"), tests);
    const { exitCode, stdout, stderr } = await promtool(["test", "rules", tests]);

    expect([exitCode, stdout + stderr]).toEqual([0, expect.stringContaining("SUCCESS")]);
  });

  it("can read every query of the dashboard", async () => {
    const rules = dashboardQueries().map((query, index) => ({
      record: `query_${index}`,
      // What Grafana puts in the place of its variables.
      expr: query.replaceAll("$__rate_interval", "5m").replaceAll("$namespace", ".*"),
    }));
    const path = write("queries.yaml", { groups: [{ name: "dashboard", rules }] });
    const { exitCode, stdout, stderr } = await promtool(["check", "rules", path]);

    expect([exitCode, stderr]).toEqual([0, ""]);
    expect(stdout).toContain(`SUCCESS: ${rules.length} rules found`);
  });
});

interface CoreEvent extends AnyObject {
  readonly reason: string;
  readonly type: string;
  readonly involvedObject: { readonly kind: string; readonly name: string };
}

const gateway = "istio-ingress";
const tenant = "tenant";
const crowd = "crowd";
const crowdSize = 40;

describe("both processes, seen from outside", () => {
  let stage: Stage;
  let keys: TenantKeys;

  const scrape = async (process: MetricProcess): Promise<string> => {
    const { port } = stage.fairlead[process];
    const url = `https://127.0.0.1:${port}/metrics`;
    const { status, body } = await probe(url, { caPem: stage.fairlead.caPem, timeoutMs: 30_000 });
    if (status !== 200) throw new Error(`${process} answers ${status}`);
    return body;
  };
  const seriesAbout = (text: string, name: string): readonly string[] =>
    text.split("\n").filter((line) => line.includes(`name="${name}"`));
  const eventsOf = async (name: string, reason: string): Promise<readonly CoreEvent[]> => {
    const events = (await stage.api.list("Event")) as readonly AnyObject[] as readonly CoreEvent[];
    return events.filter((event) => event.involvedObject.name === name && event.reason === reason);
  };
  const logLines = (process: MetricProcess): readonly Readonly<Record<string, unknown>>[] =>
    readFileSync(stage.fairlead[process].logPath, "utf8")
      .split("\n")
      .filter((line) => line.startsWith("{"))
      .map((line) => JSON.parse(line) as Readonly<Record<string, unknown>>);
  const changeSource = async (values: Readonly<Record<string, string>>): Promise<void> => {
    await stage.api.patch(
      { kind: "Secret", namespace: tenant, name: "kube-apiserver" },
      { data: encode(values) },
    );
  };

  beforeAll(async () => {
    keys = await makeTenantKeys(tenant);
    stage = await setStage({
      version: LARGE_CASES_VERSION,
      // Everything is looked at again each second, so that whatever is not quiet is found.
      fairlead: { env: { FAIRLEAD_RESYNC_SECONDS: "1" } },
      objects: [
        ...[gateway, tenant, crowd, "broken"].map((name) => namespace(name)),
        ...sourceObjects(tenant, keys),
        routeConfigMap(tenant, { hosts: "api.example.com", "istio-namespace": gateway }),
        routeConfigMap("broken", { "istio-namespace": gateway }),
      ],
    });
    await stage.api.createAll([
      internalGateway(gateway),
      hostedAPIServer(tenant, "main", { certificates: issuedCertificates }),
    ]);
    const synced = { type: "CredentialsSynced", status: "True" };
    await untilCondition(stage.api, { namespace: tenant }, synced);
    await untilCondition(stage.api, { namespace: tenant }, { type: "Ready", status: "False" });
  }, START_TIMEOUT_MS);

  afterAll(async () => {
    await stage.stop();
  });

  it("serve every metric that is promised, in a form that Prometheus finds no fault with", async () => {
    for (const process of ["admission", "watch"] as const) {
      const text = await scrape(process);
      const promised = Object.entries(METRICS)
        .filter(([, { processes }]) => (processes as readonly string[]).includes(process))
        .map(([name]) => `fairlead_${name}`);
      const missing = promised.filter((name) => !text.includes(`\n# HELP ${name} `));
      const { exitCode, stdout, stderr } = await promtool(["check", "metrics"], text);
      // Pepr's own and Node's may be named otherwise than Prometheus likes.
      const faults = (stdout + stderr).split("\n").filter((line) => line.startsWith("fairlead_"));

      expect([process, missing, faults]).toEqual([process, [], []]);
      // 3: somebody's name is not liked; 1: it can't be read.
      expect([0, 3]).toContain(exitCode);
      expect(text).toContain("\npepr_errors ");
      expect(text).toMatch(/\nprocess_resident_memory_bytes \d/);
    }
  });

  it("count admission decisions by reason, and take their time", async () => {
    const countsIn = (text: string): ReadonlyMap<string, number> =>
      new Map(
        metricSamples(text, "fairlead_admission_decisions_total")
          .filter(({ labels }) => labels.capability === "pods")
          .map(({ labels: { action, reason }, value }) => [`${action} ${reason}`, value]),
      );
    await untilRouted(stage.api, tenant);
    const before = countsIn(await scrape("admission"));
    await stage.api.create(routedPod(tenant, "routed"));
    const denial = await stage.refusal(["create", "-f", "-"], routedPod("broken", "denied"));
    const text = await scrape("admission");
    const decided = [...countsIn(text)]
      .map(([what, count]) => [what, count - (before.get(what) ?? 0)] as const)
      .filter(([, more]) => more !== 0);

    expect(denial).toContain("ConfigMap broken/istio-internal-load-balancing");
    expect(decided.sort()).toEqual([
      ["change Routed", 1],
      ["deny NoHosts", 1],
    ]);
    expect(metricSum(text, "fairlead_admission_duration_seconds_count")).toBeGreaterThanOrEqual(2);
  });

  it("say when certificates expire, as they do", async () => {
    const timeOf = (pem: string): number => Date.parse(new X509Certificate(pem).validTo) / 1_000;
    // The series are of what the process' own watch has brought.
    const { text, byUse } = await eventually(async () => {
      const text = await scrape("watch");
      const expiring = metricSamples(text, "fairlead_certificate_expiration_timestamp_seconds");
      const byUse = new Map(expiring.map(({ labels, value }) => [labels.use, value]));
      expect([...byUse.keys()].sort()).toEqual([
        ...["clientCA", "proxyClient", "proxyClientIssuer", "server", "serverCA"],
      ]);
      return { text, byUse };
    });

    expect(byUse.get("server")).toBe(timeOf(keys.server.certificatePem));
    expect(byUse.get("serverCA")).toBe(timeOf(keys.serverCA.certificatePem));
    const serving = "fairlead_serving_certificate_expiration_timestamp_seconds";
    expect(metricSum(text, serving)).toBeGreaterThan(Date.now() / 1_000);
    expect(metricSum(await scrape("admission"), serving)).toBe(metricSum(text, serving));
  });

  it("tell of queues, watches, conditions and credentials", async () => {
    const text = await scrape("watch");
    const queues = metricSamples(text, "fairlead_reconciles_total")
      .filter(({ labels, value }) => labels.result !== "retry" && value > 0)
      .map(({ labels }) => labels.queue);
    const kinds = metricSamples(text, "fairlead_watch_silence_seconds").map(
      ({ labels }) => labels.kind,
    );
    const accepted = metricSum(
      text,
      "fairlead_hosted_api_servers",
      ({ condition, status }) => condition === "Accepted" && status === "True",
    );
    const [age] = metricSamples(text, "fairlead_credentials_sync_age_seconds");

    expect(queues).toEqual(
      expect.arrayContaining(["credentials", "exposure-gateways", "exposure-servers", "status"]),
    );
    expect(kinds).toEqual(expect.arrayContaining(["HostedAPIServer", "Secret", "Service"]));
    expect(metricSum(text, "fairlead_watch_overdue_seconds")).toBe(0);
    expect(accepted).toBe(1);
    expect(age?.labels).toEqual({ namespace: tenant, name: "main" });
    expect(age?.value).toBeLessThan(600);
  });

  it("have few series for each HostedAPIServer, and none for one that is gone", async () => {
    const names = Array.from({ length: crowdSize }, (_, index) => `crowd-${index}`);
    const before = (await scrape("watch")).split("\n").length;
    await stage.api.createAll(
      names.map((name) =>
        hostedAPIServer(crowd, name, {
          hosts: [`${name}.example.com`],
          service: { name },
          loadBalancing: "L4",
        }),
      ),
    );
    await eventually(
      async () => {
        const text = await scrape("watch");
        // info, ready and sync age: it has no certificates.
        expect(names.map((name) => seriesAbout(text, name).length)).toEqual(names.map(() => 3));
      },
      { timeoutMs: 60_000 },
    );
    await stage.kubectl(["-n", crowd, "delete", "hapi", "--all", "--wait=false"]);
    await eventually(
      async () => {
        expect(await scrape("watch")).not.toContain("crowd");
      },
      { timeoutMs: 60_000 },
    );
    // Reasons that were not met before stay: they are words of the code.
    expect((await scrape("watch")).split("\n").length - before).toBeLessThan(crowdSize);
  });

  it("have no label that holds a host, a Pod, a Secret or a sentence", async () => {
    const text = (await scrape("watch")) + (await scrape("admission"));
    const values = [...text.matchAll(/^fairlead_\w+\{(.*)\} /gm)].flatMap(([, labels = ""]) =>
      [...labels.matchAll(/="([^"]*)"/g)].map(([, value = ""]) => value),
    );

    expect(values.length).toBeGreaterThan(50);
    expect(values.filter((value) => /[ ]|example\.com|routed$|kube-apiserver/.test(value))).toEqual(
      [],
    );
  });

  it("tell of what lasts once, however often it comes and goes, and whoever looks", async () => {
    for (let round = 0; round < 3; round += 1) {
      await changeSource({ "tls.crt": "no certificate" });
      const bad = { type: "ResolvedRefs", reason: "InvalidCertificate" };
      await untilCondition(stage.api, { namespace: tenant }, bad);
      await changeSource({ "tls.crt": keys.server.certificatePem });
      const good = { type: "ResolvedRefs", status: "True" };
      await untilCondition(stage.api, { namespace: tenant }, good);
    }
    await stage.fairlead.watch.stop();
    await stage.fairlead.watch.start();
    await changeSource({ "tls.crt": "no certificate" });
    const bad = { type: "ResolvedRefs", reason: "InvalidCertificate" };
    await untilCondition(stage.api, { namespace: tenant }, bad);
    await settled(async () => eventsOf("main", "SourceInvalid"), { quietMs: 1_500 });

    // Two where the hour has just changed.
    const told = (await eventsOf("main", "SourceInvalid")).length;
    expect([1, 2]).toContain(told);
    const onGateway = await eventsOf("default", "IstioNotInstalled");
    expect([1, 2]).toContain(onGateway.length);
    expect(onGateway[0]).toMatchObject({
      type: "Warning",
      involvedObject: { kind: "InternalGateway" },
    });
  });

  it("show a source that is bad in the age of the last confirmation and in conditions", async () => {
    const ageOf = async (): Promise<number> =>
      metricSum(await scrape("watch"), "fairlead_credentials_sync_age_seconds");
    const first = await ageOf();
    await eventually(async () => {
      expect(await ageOf()).toBeGreaterThan(first + 2);
    });
    const text = await scrape("watch");
    expect(metricSamples(text, "fairlead_hosted_api_servers")).toContainEqual({
      labels: { condition: "CredentialsSynced", status: "True", reason: "ServingLastGood" },
      value: 1,
    });
    await changeSource({ "tls.crt": keys.server.certificatePem });
    await eventually(async () => {
      expect(await ageOf()).toBeLessThan(first + 2);
    });
  });

  it("log a line for each decision that changed something, with the same keys", () => {
    const lines = [...logLines("admission"), ...logLines("watch")];
    const changes = lines.filter(({ msg }) => msg === "changed" || msg === "denied");
    const told = changes.map(({ capability, key, action, reason }) =>
      [capability, key, action, reason].join(" "),
    );

    expect(
      changes.filter(({ capability, key, action, reason }) =>
        [capability, key, action, reason].some((value) => typeof value !== "string"),
      ),
    ).toEqual([]);
    expect(told).toEqual(
      expect.arrayContaining([
        "pods tenant/routed change Routed",
        "pods broken/denied deny NoHosts",
        "credentials tenant/main create Missing",
        "credentials tenant/main report InvalidCertificate",
        "exposure istio-ingress/default create Missing",
        "exposure istio-ingress/default report IstioNotInstalled",
      ]),
    );
    expect(lines.filter(({ msg }) => msg === "Incoming request")).toEqual([]);
  });

  it("log nothing while nothing changes, though everything is looked at again", async () => {
    const reconciles = async (): Promise<number> =>
      metricSum(await scrape("watch"), "fairlead_reconciles_total");
    // `Ready` follows what it is made from some seconds later.
    await settled(() => Promise.resolve(logLines("watch").length), { quietMs: 6_000 });
    const [lines, runs] = [logLines("watch").length, await reconciles()];
    await eventually(async () => {
      expect(await reconciles()).toBeGreaterThan(runs + 6);
    });

    expect(logLines("watch").slice(lines)).toEqual([]);
  });
});
