import { mkdirSync, readFileSync } from "node:fs";
import { Agent, get } from "node:https";
import { join, resolve } from "node:path";
import { startCluster, type EmbeddedCluster } from "../cluster";
import { findFreePort } from "../cluster/ports";
import { Api, type AnyObject } from "../harness/api";
import { startContainer, writeMount, type Container } from "../harness/container";
import { eventually } from "../harness/eventually";
import { installHardened } from "../harness/hardened";
import { findObject, manifestObjects } from "../harness/installation";
import { namespace } from "../harness/objects";
import { speak, START_TIMEOUT_MS } from "../harness/stage";
import { describeDataPlane } from "./data-plane-choice";
import { LARGE_CASES_VERSION } from "./versions";

// The command of the manifest's Pods, as a kubelet starts it: with their mounts on a read-only root file system, as their
// user, as process 1, with a ServiceAccount's token. And with no serving certificate: fairlead makes the first one.

jest.setTimeout(120_000);

const SERVER_NAME = "pepr-fairlead.pepr-system.svc";
const ACCOUNT_FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount";
const nodeModules = resolve(__dirname, "../../node_modules");
const objects = manifestObjects();

interface PodSpec {
  readonly serviceAccountName: string;
  readonly securityContext: { readonly runAsUser: number };
  readonly containers: readonly [
    {
      readonly args: readonly string[];
      readonly workingDir: string;
      readonly env: readonly { readonly name: string; readonly value: string }[];
    },
  ];
  readonly volumes: readonly {
    readonly projected?: {
      readonly sources: readonly { readonly configMap: { readonly name: string } }[];
    };
  }[];
}

function podSpecOf(deployment: string): PodSpec {
  const { spec } = findObject(objects, "Deployment", deployment);
  return (spec as unknown as { template: { spec: PodSpec } }).template.spec;
}

/** The files of the projected volume. */
function moduleFiles({ volumes }: PodSpec): Record<string, string | Buffer> {
  const sources = volumes.flatMap(({ projected }) => projected?.sources ?? []);
  return Object.assign(
    {},
    ...sources.map(({ configMap }) => {
      const { data = {}, binaryData = {} } = findObject(objects, "ConfigMap", configMap.name) as {
        data?: Record<string, string>;
        binaryData?: Record<string, string>;
      };
      const binaries = Object.entries(binaryData).map(
        ([name, content]) => [name, Buffer.from(content, "base64")] as const,
      );
      return { ...data, ...Object.fromEntries(binaries) };
    }),
  ) as Record<string, string | Buffer>;
}

/** Another user can be had by root alone. */
const describeAsRoot = process.getuid?.() === 0 ? describeDataPlane : describe.skip;

describeAsRoot("the containers of the manifest", () => {
  const containers: Container[] = [];
  const running: Record<string, Container> = {};
  const ports: Record<string, number> = {};
  let cluster: EmbeddedCluster;
  let api: Api;
  let tlsFolder: string;
  let ca: string;

  const start = async (deployment: string): Promise<Container> => {
    const spec = podSpecOf(deployment);
    const [{ args, env, workingDir }] = spec.containers;
    const folder = join(cluster.directory, deployment);
    const { kubectl } = speak(cluster);
    const token = await kubectl([
      "create",
      "token",
      spec.serviceAccountName,
      "--namespace=pepr-system",
    ]);
    const apiServer = new URL(cluster.apiServer.url);
    const port = await findFreePort();
    ports[deployment] = port;
    const container = startContainer({
      directory: folder,
      args,
      workingDir,
      userId: spec.securityContext.runAsUser,
      env: {
        ...Object.fromEntries(env.map(({ name, value }) => [name, value])),
        KUBERNETES_SERVICE_HOST: apiServer.hostname,
        KUBERNETES_SERVICE_PORT: apiServer.port,
        // Both are in the network of this machine.
        FAIRLEAD_PORT: String(port),
      },
      mounts: {
        [`${workingDir}/node_modules`]: nodeModules,
        "/fairlead": writeMount(join(folder, "module"), moduleFiles(spec)),
        "/etc/certs": tlsFolder,
        [ACCOUNT_FOLDER]: writeMount(join(folder, "account"), {
          token: token.trim(),
          "ca.crt": cluster.apiServer.caPem,
          namespace: "pepr-system",
        }),
      },
    });
    containers.push(container);
    running[deployment] = container;
    return container;
  };

  /** What an API server is to trust. */
  const trusted = async (): Promise<string> => {
    const { stdout } = await cluster.kubectl([
      "get",
      "mutatingwebhookconfiguration/pepr-fairlead",
      "--output=jsonpath={.webhooks[0].clientConfig.caBundle}",
    ]);
    return Buffer.from(stdout, "base64").toString("utf8");
  };

  /** The status of a process's /healthz to whom trusts that, or the code of what went wrong. */
  const requestHealth = async (deployment: string, agent: Agent | false): Promise<string> => {
    const to = { host: "127.0.0.1", port: ports[deployment], path: "/healthz", agent };
    return new Promise((settle) => {
      const request = get({ ...to, ca, servername: SERVER_NAME }, (response) => {
        response.resume();
        response.on("end", () => {
          settle(String(response.statusCode));
        });
      });
      request.on("error", (error: NodeJS.ErrnoException) => {
        settle(error.code ?? error.message);
      });
    });
  };

  beforeAll(async () => {
    cluster = await startCluster({ version: LARGE_CASES_VERSION });
    api = new Api(cluster);
    await api.create(namespace("istio-ingress"));
    await installHardened(cluster);
    const webhook = findObject(objects, "MutatingWebhookConfiguration", "pepr-fairlead");
    await speak(cluster).kubectl(["apply", "-f", "-"], webhook);
    tlsFolder = join(cluster.directory, "tls");
    mkdirSync(tlsFolder);
  }, START_TIMEOUT_MS);
  afterAll(async () => {
    for (const container of containers) await container.stop();
    api.close();
    await cluster.stop();
  });

  it("start without a certificate, and the watch process makes the first one", async () => {
    const [watch, admission] = await Promise.all([
      start("pepr-fairlead-watcher"),
      start("pepr-fairlead"),
    ]);
    const secret = { kind: "Secret", namespace: "pepr-system", name: "pepr-fairlead-tls" } as const;
    const { data = {} } = await eventually(async () => {
      const found: AnyObject = await api.get(secret);
      expect([Object.keys(found.data ?? {}), watch.isRunning()]).toEqual([
        ["tls.crt", "tls.key"],
        true,
      ]);
      return found;
    });
    // As a kubelet does.
    const files = Object.entries(data).map(
      ([name, content]) => [name, Buffer.from(content, "base64")] as const,
    );
    writeMount(tlsFolder, Object.fromEntries(files));

    await eventually(async () => {
      ca = await trusted();
      for (const name of ["pepr-fairlead", "pepr-fairlead-watcher"]) {
        expect([name, await requestHealth(name, false)]).toEqual([name, "200"]);
      }
      expect(admission.isRunning()).toBe(true);
    });
  });

  it("run as the image's user, on a root that nothing can be written to", () => {
    expect(containers).toHaveLength(2);
    for (const container of containers) {
      const proc = `/proc/${container.programId() ?? 0}`;
      expect(readFileSync(`${proc}/status`, "utf8")).toMatch(/^Uid:\t65532\t65532\t65532\t65532$/m);
      const mounts = readFileSync(`${proc}/mountinfo`, "utf8").trimEnd().split("\n");
      const writable = mounts
        .map((line) => line.split(" "))
        .filter(([, , , , , options = ""]) => options.split(",").includes("rw"))
        .map(([, , , , target = ""]) => target)
        .filter((target) => !/^\/(dev|proc)(\/|$)/.test(target));
      expect(writable).toEqual([]);
    }
  });

  it("lose no request when they are told to end, and end by themselves", async () => {
    const [admission, watch] = [running["pepr-fairlead"], running["pepr-fairlead-watcher"]];
    const agent = new Agent({ keepAlive: true, maxSockets: 4 });
    const answers: string[] = [];
    let isOver = false;
    const load = Array.from({ length: 4 }, async () => {
      while (!isOver) {
        answers.push(await requestHealth("pepr-fairlead", agent));
        isOver ||= answers.at(-1) === "ECONNREFUSED";
      }
    });
    const before = answers.length;
    for (const container of [admission, watch]) {
      process.kill(container?.programId() ?? 0, "SIGTERM");
    }
    await Promise.all(load);
    agent.destroy();

    expect(answers.length).toBeGreaterThan(before + 100);
    expect([...new Set(answers)].sort()).toEqual(["200", "ECONNREFUSED"]);
    expect(await Promise.all([admission?.ended, watch?.ended])).toEqual([0, 0]);
  });
});
