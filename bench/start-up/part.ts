import { mkdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";
import { bytesInSecret, SECRET_BUDGET_BYTES } from "../../scripts/package/size";
import { createCA, issue } from "../../test/cluster";
import { findFreePort } from "../../test/cluster/ports";
import { startWatchdog, type Watchdog } from "../../test/cluster/watchdog";
import { internalGateway, namespace } from "../../test/harness/objects";
import { setStage, type Stage } from "../../test/harness/stage";
import { makeTenantKeys, tenantObjects } from "../../test/harness/tenant";
import type { Chart, Figure, Part, PartContext } from "../framework/part";
import { estimate, estimateRatio, interleave } from "../framework/statistics";
import { timeRun, timeStart, type Launch, type Readiness, type StartTimes } from "./launch";

const ROUNDS = { quick: 5, full: 15 };
const tenantCount = 5;
const gateway = "istio-ingress";
const root = join(__dirname, "../..");
const fairleadPath = join(process.env.FAIRLEAD_DIST ?? join(root, "dist"), "pepr-fairlead.js");
/** Below node_modules, so that what it requires is found. */
const scratch = join(root, "node_modules/.cache/fairlead-bench");

type Mode = "admission" | "watch";
const modes: readonly Mode[] = ["admission", "watch"];

/** Bundles the bare module with what `pepr build` gives esbuild. */
async function buildBareModule(): Promise<string> {
  const outfile = join(scratch, "bare-module.js");
  await build({
    entryPoints: [join(__dirname, "bare-module.ts")],
    bundle: true,
    external: ["pepr", "@kubernetes/client-node"],
    format: "cjs",
    keepNames: true,
    legalComments: "none",
    minify: true,
    platform: "node",
    target: "node20",
    outfile,
  });
  return outfile;
}

/** What every start has in common. */
interface Starter {
  /** Starts a module in a mode until it is ready. */
  start(modulePath: string, mode: Mode, message?: string): Promise<StartTimes>;
  /** Runs a program text of node's. */
  run(program: string): Promise<number>;
}

async function makeStarter({ cluster }: Stage, watchdog: Watchdog): Promise<Starter> {
  const ca = await createCA({ commonName: "start-up" });
  const leaf = await issue(ca, {
    commonName: "fairlead",
    ipAddresses: ["127.0.0.1"],
    dnsNames: ["localhost"],
    usages: ["server"],
  });
  const files = {
    certificate: join(cluster.directory, "start-up.crt"),
    key: join(cluster.directory, "start-up.key"),
  };
  writeFileSync(files.certificate, leaf.certificatePem);
  writeFileSync(files.key, leaf.privateKeyPem, { mode: 0o600 });
  const kubeconfig = await cluster.kubeconfigFor({ name: "start-up", groups: ["system:masters"] });
  const port = await findFreePort();
  const logPath = join(cluster.directory, "start-up.log");
  const launchOf = (args: readonly string[], env: Readonly<Record<string, string>>): Launch => ({
    args,
    env,
    logPath,
    watchdog,
  });
  return {
    start: async (modulePath, mode, message) => {
      const env = {
        KUBECONFIG: kubeconfig,
        PEPR_WATCH_MODE: String(mode === "watch"),
        PEPR_API_PATH: "start-up",
        SSL_CERT_PATH: files.certificate,
        SSL_KEY_PATH: files.key,
        FAIRLEAD_PORT: String(port),
        LOG_LEVEL: "info",
      };
      const readiness: Readiness = {
        port,
        caPem: ca.certificatePem,
        ...(message === undefined ? {} : { message }),
      };
      return timeStart(launchOf([modulePath], env), readiness);
    },
    run: async (program) => timeRun(launchOf(["-e", program], {})),
  };
}

/** What each round measures, in milliseconds. */
type Round = Readonly<Record<"node" | "import" | `${"fairlead" | "bare"} ${Mode}`, StartTimes>>;

async function measure(
  starter: Starter,
  barePath: string,
  context: PartContext,
): Promise<readonly Round[]> {
  const rounds = context.quick ? ROUNDS.quick : ROUNDS.full;
  const step = context.progress.step(`${rounds} starts of each process`);
  // Where the packages are is where a module would find them.
  const importPepr = `require(${JSON.stringify(require.resolve("pepr"))})`;
  const run = async (program: string): Promise<StartTimes> => ({
    readyMs: await starter.run(program),
  });
  // The first start installs the CustomResourceDefinitions, which is no part of an ordinary one.
  await starter.start(fairleadPath, "watch", "controllers started");
  const measured = await interleave<keyof Round, StartTimes>({
    rounds,
    variants: {
      node: () => run(""),
      import: () => run(`${importPepr}; process.exit(0)`),
      "fairlead admission": () => starter.start(fairleadPath, "admission"),
      "fairlead watch": () => starter.start(fairleadPath, "watch", "controllers started"),
      "bare admission": () => starter.start(barePath, "admission"),
      "bare watch": () => starter.start(barePath, "watch"),
    },
    onRound: (done) => {
      step.update({ fraction: done / rounds });
    },
  });
  step.done();
  return measured;
}

const toReady = (rounds: readonly Round[], of: keyof Round): readonly number[] =>
  rounds.map((round) => round[of].readyMs);

function timeFigures(rounds: readonly Round[]): readonly Figure[] {
  const controllers = rounds.map((round) => round["fairlead watch"].messageMs ?? Number.NaN);
  return [
    ...modes.flatMap((mode): readonly Figure[] => {
      const [own, bare] = [toReady(rounds, `fairlead ${mode}`), toReady(rounds, `bare ${mode}`)];
      return [
        { name: `${mode} process, from its start to /healthz 200`, unit: "ms", ...estimate(own) },
        { name: `${mode} process of a bare Pepr module, likewise`, unit: "ms", ...estimate(bare) },
        {
          name: `${mode} process, fairlead / bare Pepr module`,
          unit: "ratio",
          ...estimateRatio(own, bare),
        },
      ];
    }),
    {
      name: "watch process, from its start to all controllers started",
      unit: "ms",
      ...estimate(controllers),
      note: "their caches are filled",
    },
    { name: "node that does nothing", unit: "ms", ...estimate(toReady(rounds, "node")) },
    { name: "node that imports pepr and ends", unit: "ms", ...estimate(toReady(rounds, "import")) },
  ];
}

function sizeFigures(barePath: string): readonly Figure[] {
  const kib = (bytes: number): number => Math.round((bytes / 1024) * 10) / 10;
  return [
    {
      name: "built module, in its Secret (gzip, base64)",
      value: kib(bytesInSecret(fairleadPath)),
      unit: "KiB",
      goal: { atMost: SECRET_BUDGET_BYTES / 1024 },
    },
    { name: "built module, as a file", value: kib(statSync(fairleadPath).size), unit: "KiB" },
    { name: "bare Pepr module, in its Secret", value: kib(bytesInSecret(barePath)), unit: "KiB" },
  ];
}

function chartOf(rounds: readonly Round[]): Chart {
  const point = (mode: Mode, of: "fairlead" | "bare") => {
    const { value, interval = [value, value] } = estimate(toReady(rounds, `${of} ${mode}`));
    return { x: `${mode} process`, y: value, low: interval[0], high: interval[1] };
  };
  return {
    name: "ready",
    title: "From a process' start to ready",
    kind: "bars",
    xLabel: "process",
    yLabel: "time until /healthz answers 200, ms",
    series: [
      { name: "fairlead", points: modes.map((mode) => point(mode, "fairlead")) },
      { name: "bare Pepr module", points: modes.map((mode) => point(mode, "bare")) },
    ],
  };
}

/** How long the processes take to start, and how large the module is. */
export const part: Part = {
  name: "start-up",
  title: "Start-up",
  async run(context) {
    mkdirSync(scratch, { recursive: true });
    const barePath = await buildBareModule();
    const stage = await setStage({
      objects: [namespace(gateway)],
      fairlead: { processes: [] },
    });
    const directory = join(stage.cluster.directory, "start-up");
    mkdirSync(directory);
    const watchdog = startWatchdog(directory);
    try {
      const starter = await makeStarter(stage, watchdog);
      // Once for the kinds, before there can be objects of them.
      await starter.start(fairleadPath, "watch", "controllers started");
      await stage.api.create(internalGateway(gateway));
      for (let index = 1; index <= tenantCount; index += 1) {
        const tenant = `tenant-${index}`;
        await stage.api.createAll(tenantObjects(tenant, await makeTenantKeys(tenant)));
      }
      const rounds = await measure(starter, barePath, context);
      return {
        figures: [...timeFigures(rounds), ...sizeFigures(barePath)],
        charts: [chartOf(rounds)],
      };
    } finally {
      await watchdog.close();
      await stage.stop();
    }
  },
};
