import { mkdirSync, symlinkSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { findPrograms } from "../cluster/binaries";
import { silentProgress } from "../cluster/progress";
import { runCommand, type CommandResult } from "../cluster/run-command";
import type { Diagnosis } from "../../cli/doctor/diagnose";
import type { Finding } from "../../cli/doctor/finding";
import { startCluster, type EmbeddedCluster } from "../cluster";
import { Api } from "../harness/api";
import { eventually } from "../harness/eventually";
import { startFairlead, type Fairlead } from "../harness/fairlead";
import { installHardened } from "../harness/hardened";
import { builtInstallation } from "../harness/installation";
import { applyIstioDefinitions } from "../harness/istio-definitions";
import { hostedAPIServer, internalGateway, namespace } from "../harness/objects";
import { playReadyPods, type ReadyPods } from "../harness/ready-pods";
import { keepLogs, speak, START_TIMEOUT_MS } from "../harness/stage";
import { LARGE_CASES_VERSION } from "./versions";

// The hardened installation on a real API server with its controllers: Deployments' Pods are said to be ready, the watch
// process is the real one with its ServiceAccount's rights, and the doctor is the command that users run, as a user who
// may get and list and nothing else.

jest.setTimeout(300_000);

const root = resolve(__dirname, "../..");
const SYSTEM = "pepr-system";
const DOCTOR = "reader";
/** A look is a process of its own, and takes seconds where much else is going on. */
const patience = { timeoutMs: 120_000, pollMs: 500 };

interface Report extends Diagnosis {
  readonly apiVersion: string;
  readonly exitCode: number;
}

describe("npx fairlead doctor", () => {
  let cluster: EmbeddedCluster;
  let api: Api;
  let pods: ReadyPods;
  let fairlead: Fairlead;
  let readerKubeconfig: string;
  let path: string;

  /** Runs a command of the doctor's, or the doctor itself, as in a shell in a checkout. */
  const shell = async (command: string, kubeconfig: string): Promise<CommandResult> =>
    runCommand(["sh", "-c", `cd "${root}" && ${command}`], {
      environment: {
        PATH: path,
        HOME: cluster.directory,
        KUBECONFIG: kubeconfig,
        KUBECACHEDIR: join(cluster.directory, "kubectl-cache"),
      },
    });

  const examine = async (...args: readonly string[]): Promise<CommandResult> =>
    shell(["bin/fairlead doctor", ...args].join(" "), readerKubeconfig);

  const report = async (): Promise<Report> => {
    const { stdout, stderr, exitCode } = await examine("-o json");
    if (stdout === "") throw new Error(stderr);
    const read = JSON.parse(stdout) as Report;
    expect(read.exitCode).toBe(exitCode);
    return read;
  };

  const findingOf = ({ findings }: Report, reason: string): Finding => {
    const found = findings.find((each) => each.reason === reason);
    if (found === undefined) throw new Error(`no ${reason} in ${JSON.stringify(findings)}`);
    return found;
  };

  /** Runs the last of a finding's commands, which mends it, as an administrator. */
  const mend = async ({ commands }: Finding): Promise<void> => {
    const { exitCode, stderr } = await shell(commands.at(-1) ?? "false", cluster.kubeconfigPath);
    if (exitCode !== 0) throw new Error(`${commands.at(-1) ?? ""}: ${stderr}`);
  };

  /** What was broken ends piece by piece: a first replica is ready before the second, say. */
  const untilWell = async (): Promise<void> =>
    eventually(async () => {
      expect((await report()).findings).toEqual([]);
    }, patience);

  beforeAll(async () => {
    cluster = await startCluster({ version: LARGE_CASES_VERSION, controllerManager: "run" });
    api = new Api(cluster);
    await api.createAll([namespace("istio-ingress"), namespace("other-ingress")]);
    await api.createAll([namespace("tenant-a")]);
    const { kubectl } = speak(cluster);
    await applyIstioDefinitions({ kubectl });
    const hardened = await installHardened(cluster);
    await kubectl(["apply", "-f", builtInstallation().manifest]);
    const rule = { apiGroups: ["*"], resources: ["*"], verbs: ["get", "list"] };
    const urls = { nonResourceURLs: ["/version"], verbs: ["get"] };
    const rbac = { apiVersion: "rbac.authorization.k8s.io/v1", metadata: { name: DOCTOR } };
    const roleRef = { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: DOCTOR };
    await kubectl(
      ["create", "-f", "-"],
      [
        { ...rbac, kind: "ClusterRole", rules: [rule, urls] },
        {
          ...rbac,
          kind: "ClusterRoleBinding",
          roleRef,
          subjects: [{ kind: "User", name: DOCTOR }],
        },
      ],
    );
    readerKubeconfig = await cluster.kubeconfigFor({ name: DOCTOR, groups: [] });
    const { paths } = await findPrograms({
      version: LARGE_CASES_VERSION,
      programs: ["kubectl"],
      progress: silentProgress,
    });
    const bin = join(cluster.directory, "path");
    mkdirSync(bin);
    symlinkSync(paths.kubectl ?? "", join(bin, "kubectl"));
    symlinkSync(join(root, "bin/kubectl-fairlead"), join(bin, "kubectl-fairlead"));
    path = [bin, dirname(process.execPath), process.env.PATH ?? ""].join(":");
    pods = playReadyPods(api, { namespaces: [SYSTEM] });
    fairlead = await startFairlead(hardened, { processes: ["watch"] });
  }, START_TIMEOUT_MS);

  afterAll(async () => {
    await pods.stop();
    await fairlead.stop();
    keepLogs(cluster, fairlead);
    api.close();
    await cluster.stop();
  });

  it("finds nothing wrong with an installation that works, and says so with exit code 0", async () => {
    await eventually(async () => {
      const { stdout, stderr, exitCode } = await examine();
      expect([stdout, stderr, exitCode]).toEqual([expect.stringContaining("All is well."), "", 0]);
    }, patience);
    const { checks, findings, servingCertificateDaysLeft } = await report();
    expect(findings).toEqual([]);
    expect(checks.map(({ result }) => result)).toEqual(checks.map(() => "ok"));
    expect(servingCertificateDaysLeft).toBe(89);
  });

  it("says which Deployment lacks replicas, and its command mends it", async () => {
    await speak(cluster).kubectl([
      "-n",
      SYSTEM,
      "scale",
      "deployment/pepr-fairlead",
      "--replicas=0",
    ]);
    const broken = await eventually(async () => {
      const read = await report();
      findingOf(read, "NoEndpoints");
      return read;
    }, patience);
    expect(broken.exitCode).toBe(1);
    const finding = findingOf(broken, "TooFewReplicas");
    expect(finding.subject).toBe("Deployment pepr-system/pepr-fairlead");
    expect(finding.commands).toEqual([
      "kubectl -n pepr-system scale deployment/pepr-fairlead --replicas=2",
    ]);

    await mend(finding);
    await untilWell();
  });

  it("says that the webhook is gone, and its command brings it back", async () => {
    await api.remove({ kind: "MutatingWebhookConfiguration", name: "pepr-fairlead" });
    const finding = findingOf(await report(), "NotInstalled");
    expect(finding.subject).toBe("MutatingWebhookConfiguration pepr-fairlead");

    await mend(finding);
    // The watch process writes what the API server is to trust.
    await untilWell();
  });

  it("says that the webhook lets Pods through when nobody answers, and its command ends that", async () => {
    const ref = { kind: "MutatingWebhookConfiguration", name: "pepr-fairlead" } as const;
    const { webhooks } = (await api.get(ref)) as unknown as { webhooks: readonly object[] };
    const [webhook] = webhooks;
    await api.patch(ref, { webhooks: [{ ...webhook, failurePolicy: "Ignore" }] });
    const warned = await report();
    expect(warned.exitCode).toBe(0);

    await mend(findingOf(warned, "FailurePolicyIgnore"));
    await untilWell();
  });

  it("says where fairlead may not write, and its command lets it", async () => {
    await api.create(internalGateway("other-ingress", { allowedNamespaces: { from: "Same" } }));
    const broken = await eventually(async () => {
      const read = await report();
      expect(read.internalGateways[0]?.reasons).toEqual(["WriteRefused"]);
      return read;
    }, patience);
    const finding = findingOf(broken, "RightsMissing");
    expect(finding.message).toContain("create services");

    await mend(finding);
    await eventually(async () => {
      const { internalGateways, checks } = await report();
      // The gateway's Pods are not there.
      expect(internalGateways[0]?.reasons).toEqual(["AddressNotUsable"]);
      expect(checks.map(({ result }) => result)).toEqual(checks.map(() => "ok"));
    }, patience);
  });

  it("says which namespace its gateway does not allow, and its command lets it in", async () => {
    await api.create(hostedAPIServer("tenant-a", "main", { loadBalancing: "L4" }));
    const broken = await eventually(async () => {
      const read = await report();
      findingOf(read, "NotAllowedByGateway");
      // Ready is written later than the condition that is the cause.
      expect(read.hostedAPIServers).toMatchObject([
        {
          namespace: "tenant-a",
          name: "main",
          ready: "False",
          reasons: expect.arrayContaining(["NotAllowedByGateway"]) as string[],
        },
      ]);
      return read;
    }, patience);

    await mend(findingOf(broken, "NotAllowedByGateway"));
    // It is accepted before it is exposed, and Ready says why not after both.
    await eventually(async () => {
      const { findings, hostedAPIServers } = await report();
      expect(findings.map(({ reason }) => reason)).not.toContain("NotAllowedByGateway");
      expect(hostedAPIServers[0]).toMatchObject({ mode: "L4", ready: "False" });
    }, patience);
  });

  it("shows the same to people, as a plugin of kubectl's, and of one namespace alone", async () => {
    const { stdout, exitCode } = await shell(
      "kubectl fairlead doctor -n tenant-a -o wide --no-color",
      readerKubeconfig,
    );
    expect(exitCode).toBe(1);
    expect(stdout).toMatch(/tenant-a\/main +L4 +False/);
    expect(stdout).not.toContain("other-ingress/default ");
    expect(stdout).toContain("    $ kubectl ");
    expect(stdout).not.toContain("\u001b");
  });

  it("says with exit code 2 what it could not look at, and that there is nobody", async () => {
    const stranger = await cluster.kubeconfigFor({ name: "stranger", groups: [] });
    const refused = await shell("bin/fairlead doctor", stranger);
    expect([refused.exitCode, refused.stdout]).toEqual([2, expect.stringContaining("you may not")]);

    const nowhere = await shell("bin/fairlead doctor --context nowhere", readerKubeconfig);
    expect(nowhere).toEqual({
      exitCode: 2,
      stdout: "",
      stderr: "fairlead doctor could not look: the kubeconfig has no context nowhere\n",
    });
  });

  it("has only read, and told nothing of a Secret", async () => {
    const events = await cluster.auditEvents({ user: DOCTOR });
    expect(events.length).toBeGreaterThan(100);
    expect([...new Set(events.map(({ verb }) => verb))].sort()).toEqual(["get", "list"]);
    const secret = await api.get({ kind: "Secret", namespace: SYSTEM, name: "pepr-fairlead-tls" });
    const { stdout } = await examine("-o json");
    for (const value of Object.values(secret.data ?? {})) {
      expect(stdout).not.toContain(value.slice(0, 64));
      const text = Buffer.from(value, "base64").toString("utf8");
      expect(stdout).not.toContain(text.split("\n")[1]);
    }
  });
});
