import { X509Certificate } from "node:crypto";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import execa from "execa";
import { issue, type KeyPair } from "../cluster";
import { readDocument } from "../docs/named-tests";
import type { AnyObject } from "../harness/api";
import { eventually } from "../harness/eventually";
import { http2, seenIn, shownCertificate, WHOAMI, type Reach } from "../harness/gateway-client";
import { namespace, pod } from "../harness/objects";
import { podKubectl } from "../harness/pod-kubectl";
import {
  examplePath,
  gardener,
  k0smotron,
  kamaji,
  rotateGardener,
  setProjectsStage,
  type ProjectsStage,
  type StagedProject,
} from "../harness/projects";
import { START_TIMEOUT_MS, untilCondition } from "../harness/stage";
import { describeDataPlane } from "./data-plane-choice";

jest.setTimeout(120_000);

const PROJECTS = [gardener, kamaji, k0smotron];
const JANE = { name: "jane", groups: ["dev", "ops"] };
const SEEN_JANE = { username: "jane", groups: ["dev", "ops", "system:authenticated"] };

/** What docs/troubleshooting.md has people look at, without what they filter it by. */
function lookCommands(): readonly string[] {
  const blocks = readDocument("docs/troubleshooting.md").matchAll(/```bash\n([^`]+)```/g);
  return [...blocks]
    .flatMap(([, text = ""]) => text.split(/\n|; /))
    .map((command) => command.replace(/ \| .*$/, ""))
    .filter((command) => command.startsWith("kubectl") && !command.includes(" logs "));
}

/** The files of examples/<project> as they are, on what each project makes of a control plane. */
describeDataPlane("the example of", () => {
  let stage: ProjectsStage;

  beforeAll(async () => {
    stage = await setProjectsStage(PROJECTS, [
      // As Gardener labels it; the others' are in their examples.
      namespace(gardener.hosted.namespace, { labels: { "gardener.cloud/role": "shoot" } }),
    ]);
  }, START_TIMEOUT_MS);

  afterAll(async () => {
    await stage.stop();
  });

  const staged = (name: string): StagedProject => {
    const found = stage.projects.find(({ project }) => project.name === name);
    if (found === undefined) throw new Error(`${name} is not there`);
    return found;
  };

  const refOf = ({ hapi: { metadata } }: StagedProject) => ({
    kind: "HostedAPIServer" as const,
    namespace: metadata.namespace ?? "",
    name: metadata.name ?? "",
  });

  const firstHost = ({ hapi }: StagedProject): string =>
    (hapi.spec?.hosts as readonly string[])[0] ?? "";

  /** Where the InternalGateway, or another Service of its namespace, answers for the first host. */
  async function reachOf(one: StagedProject, serviceName?: string): Promise<Reach> {
    const { spec = {}, metadata } = one.internalGateway;
    const name = (serviceName ?? spec.serviceName ?? "istio-ingressgateway-internal") as string;
    const service = await stage.api.get({
      kind: "Service",
      namespace: metadata.namespace ?? "",
      name,
    });
    const { clusterIP, ports } = service.spec as {
      clusterIP: string;
      ports: readonly { port: number }[];
    };
    return {
      port: await stage.plane.expose(`${clusterIP}:${ports[0]?.port ?? 0}`),
      serverName: firstHost(one),
      caPem: one.hosted.keys.serverCA.certificatePem,
    };
  }

  /** An environment with kubectl, as the management cluster's administrator. */
  const toolsOf = ({ kubectlPath }: StagedProject["hosted"]) => ({
    PATH: `${dirname(kubectlPath)}:${process.env.PATH ?? ""}`,
    KUBECONFIG: stage.cluster.kubeconfigPath,
  });

  async function untilReady(one: StagedProject): Promise<AnyObject> {
    const { generation } = (await stage.api.get(refOf(one))).metadata;
    return untilCondition(stage.api, refOf(one), {
      type: "Ready",
      status: "True",
      observedGeneration: generation ?? 0,
    });
  }

  const whoIs = async (reach: Reach, client: KeyPair) =>
    seenIn(await http2(reach)({ ...WHOAMI, client }));

  describe.each(PROJECTS.map(({ name }) => name))("%s", (name) => {
    it("is Ready, and served in L7 with client certificates", async () => {
      const { status } = await untilReady(staged(name));
      expect(status).toMatchObject({ loadBalancing: "L7" });
      const conditions = status?.conditions as readonly { type: string; reason: string }[];
      expect(conditions).toContainEqual(
        expect.objectContaining({ type: "CredentialsSynced", reason: "Synced" }),
      );
    });

    it("leads a Pod's kubectl to the API server, as who it is", async () => {
      const one = staged(name);
      const { hosted, hapi, internalGateway } = one;
      const { namespace: at = "" } = hapi.metadata;
      await untilCondition(stage.api, refOf(one), { type: "ClientsRouted", status: "True" });
      const manifest = pod(at, "client", { nodeName: "node-zone-1" });
      const labels = { "fairlead.dev/route": "true" };
      const given = { ...manifest, metadata: { ...manifest.metadata, labels } };
      // The admission process hears of the route for itself.
      await eventually(async () => {
        const { body } = await stage.api.tryToCreate(given);
        expect(body.spec?.hostAliases).toHaveLength(1);
      });
      const { body } = await stage.api.create(given);
      const { hostAliases = [] } = body.spec as {
        hostAliases?: { ip: string; hostnames: string[] }[];
      };
      expect(hostAliases).toHaveLength(1);
      const client = await stage.plane.addClient({ name: `${name}-client`, hostAliases });
      const { service } = internalGateway.spec?.port as { readonly service: number };
      const access = { server: `https://${firstHost(one)}:${service}` };
      const whoami = async (kubeconfig: string): Promise<unknown> => {
        const kubectl = podKubectl({ client, hosted, kubeconfig });
        const { stdout, stderr } = await kubectl.run("auth", "whoami", "-o", "json");
        if (stdout === "") throw new Error(stderr);
        return (JSON.parse(stdout) as { status: { userInfo: unknown } }).status.userInfo;
      };
      expect(await whoami(await hosted.kubeconfigFor(JANE, access))).toMatchObject(SEEN_JANE);
      const token = await hosted.tokenFor({ namespace: "default", name: "robot" });
      const robot = await hosted.kubeconfigFor({ name: "robot", groups: [] }, { ...access, token });
      expect(await whoami(robot)).toMatchObject({
        username: "system:serviceaccount:default:robot",
      });
    });
  });

  it("k0smotron would know nobody's certificate with another common name", async () => {
    const one = staged("k0smotron");
    const reach = await reachOf(one);
    const jane = await one.hosted.issueClient(JANE);
    const named = async (commonName: string | null) => {
      const proxyClient = { issuer: { commonName } };
      await stage.api.patch(refOf(one), { spec: { certificates: { proxyClient } } });
      await untilReady(one);
    };
    await named(null);
    await eventually(async () => {
      expect(await whoIs(reach, jane)).toBe("401");
    });
    await named("front-proxy-client");
    await eventually(async () => {
      expect(await whoIs(reach, jane)).toMatchObject(SEEN_JANE);
    });
  });

  it("gardener leaves Gardener's own way in as it is, on the same Pods", async () => {
    const one = staged("gardener");
    await untilReady(one);
    const jane = await one.hosted.issueClient(JANE);
    const reach = await reachOf(one, "istio-ingressgateway");
    expect(await shownCertificate(reach)).toBe(
      new X509Certificate(one.hosted.keys.server.certificatePem).fingerprint256,
    );
    expect(await whoIs(reach, jane)).toMatchObject(SEEN_JANE);
  });

  it("gardener follows a rotation by its script, which reads no value", async () => {
    const one = staged("gardener");
    const { server, clientCA, names, secrets } = await rotateGardener(one.hosted.keys);
    // The script tells them apart by their age in seconds.
    await sleep(1_100);
    await stage.api.createAll(secrets);
    const script = examplePath("gardener", "name-secrets.sh");
    const { all = "" } = await execa("bash", [script, gardener.hosted.namespace], {
      env: toolsOf(one.hosted),
      all: true,
    });
    expect(all).toContain("patched");
    const { spec } = await untilReady(one);
    const { certificates } = spec as {
      certificates: Record<"server" | "clientCA", { secretName: string }>;
    };
    expect(certificates.server.secretName).toBe(names.server);
    expect(certificates.clientCA.secretName).toBe(names.clientCA);
    const reach = await reachOf(one);
    await eventually(async () => {
      expect(await shownCertificate(reach)).toBe(
        new X509Certificate(server.certificatePem).fingerprint256,
      );
    });
    const newcomer = await issue(clientCA, { commonName: "newcomer", usages: ["client"] });
    // Each Envoy, and each of its threads, turns to what is new for itself.
    await eventually(async () => {
      expect(await whoIs(reach, newcomer)).toMatchObject({ username: "newcomer" });
    });
    const jane = await one.hosted.issueClient(JANE);
    expect(await whoIs(reach, jane)).toMatchObject(SEEN_JANE);
  });

  it("kamaji, where something is wrong, can be looked at by the commands of docs/troubleshooting.md", async () => {
    const { hapi, internalGateway, hosted } = staged("kamaji");
    const env = {
      ...toolsOf(hosted),
      NS: hapi.metadata.namespace,
      NAME: hapi.metadata.name,
      GATEWAY_NS: internalGateway.metadata.namespace,
      GATEWAY: internalGateway.metadata.name,
      SERVICE: "istio-ingressgateway-internal",
    };
    const commands = lookCommands();
    expect(commands.length).toBeGreaterThan(20);
    const failed: unknown[] = [];
    for (const command of commands) {
      const { exitCode, stderr } = await execa("bash", ["-c", command], { env, reject: false });
      if (exitCode !== 0) failed.push({ command, stderr });
    }
    expect(failed).toEqual([]);
  });

  it("each made istiod and Envoy refuse nothing", async () => {
    expect(await stage.refusals()).toEqual({});
  });
});
