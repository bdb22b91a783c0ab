import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { launchUntilReady } from "./child-program";
import type { EmbeddedCluster } from "./cluster";
import { ensure, ensureNamespace } from "./kubelet";
import { metricSum } from "./metrics";
import type { Network } from "./network";
import type { Relay } from "./relay";
import { createRest, type Rest } from "./rest";
import { until } from "./until";
import type { Watchdog } from "./watchdog";

/** What an istiod is started from. */
export interface IstiodRequest {
  readonly cluster: EmbeddedCluster;
  readonly rest: Rest;
  readonly program: string;
  /** Istio's CRDs. */
  readonly crdsPath: string;
  readonly directory: string;
  readonly watchdog: Watchdog;
  readonly network: Network;
  readonly relay: Relay;
  /** Added to istiod's own, and winning. */
  readonly environment?: Readonly<Record<string, string>> | undefined;
  readonly signal?: AbortSignal | undefined;
  /** This machine's port that leads to istiod's webhooks. */
  readonly webhookPort: number;
}

/** An istiod that runs in the node's namespace. */
export interface Istiod {
  /** The process that runs now, or that ran last. */
  readonly pid: number;
  readonly logPath: string;
  /** A GET of its monitoring port: /metrics, /debug/… */
  get(path: string): Promise<string>;
  /** What istiod and the gateways refused since it started; all 0 when all was accepted. */
  readonly rejections: () => Promise<IstiodRejections>;
  stop(signal?: NodeJS.Signals): Promise<void>;
  start(): Promise<void>;
}

/** Counts of refusals. */
export interface IstiodRejections {
  /** Configuration that gateways refused (NACK). */
  readonly xds: number;
  /** Objects that istiod's validation webhook refused. */
  readonly validation: number;
  /** EnvoyFilter patches that could not be applied, and others of its internal errors. */
  readonly internal: number;
}

/** Where istiod's parts are reached from Pods, which find the name in /etc/hosts. */
export const istiodHost = "istiod.istio-system.svc";

const namespace = "istio-system";
const readyTimeoutMs = 60_000;

/**
 * Applies Istio's CRDs, starts istiod and waits until it is ready. Its validation webhook is
 * registered, so that the API server refuses what istiod would.
 * @throws what `launchUntilReady` throws, or an Error when the CRDs cannot be applied.
 */
export async function startIstiod(request: IstiodRequest): Promise<Istiod> {
  const { cluster, rest, directory, network, signal } = request;
  await Promise.all([applyCrds(request), ensureNamespace(rest, namespace)]);
  await writeConfiguration(directory);
  const ready = createRest({ url: `http://${network.address}:8080`, dial: request.relay.dial });
  const monitoring = createRest({
    url: `http://${network.address}:15014`,
    dial: request.relay.dial,
  });
  const logPath = join(directory, "istiod.log");
  const run = async () =>
    launchUntilReady(
      {
        program: request.program,
        within: network.prefix,
        directory,
        watchdog: request.watchdog,
        logPath,
        environment: { ...istiodEnvironment(network.address), ...request.environment },
        args: [
          "discovery",
          `--kubeconfig=${cluster.kubeconfigPath}`,
          "--meshConfig=mesh.yaml",
          "--networksConfig=networks.yaml",
        ],
      },
      {
        isReady: async () => (await ready.call({ path: "/ready" })).status === 200,
        timeoutMs: readyTimeoutMs,
        signal,
      },
    );
  let program = await run();
  await ensure(
    rest,
    "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations",
    validator(request.webhookPort, await rootCertificate(rest)),
  );
  const get = async (path: string) => (await monitoring.call({ path })).body;
  return {
    get pid() {
      return program.pid;
    },
    logPath,
    get,
    async rejections() {
      const metrics = await get("/metrics");
      return {
        xds: metricSum(metrics, "pilot_total_xds_rejects"),
        validation: metricSum(metrics, "galley_validation_failed"),
        internal: metricSum(metrics, "pilot_total_xds_internal_errors"),
      };
    },
    stop: async (how) => program.stop(how),
    async start() {
      if (program.ending() === undefined) throw new Error("istiod runs already.");
      program = await run();
    },
  };
}

async function applyCrds({ cluster, crdsPath }: IstiodRequest): Promise<void> {
  const apply = ["apply", "--server-side", "-f", crdsPath];
  for (const args of [apply, ["wait", "--for=condition=Established", "-f", crdsPath]]) {
    const { exitCode, stderr } = await cluster.kubectl(args);
    if (exitCode !== 0) throw new Error(`Istio's CRDs could not be applied: ${stderr}`);
  }
}

async function writeConfiguration(directory: string): Promise<void> {
  const mesh = {
    trustDomain: "cluster.local",
    // The merged metrics need Istio's own build of Envoy.
    enablePrometheusMerge: false,
    defaultConfig: { discoveryAddress: `${istiodHost}:15012` },
  };
  await writeFile(join(directory, "mesh.yaml"), JSON.stringify(mesh));
  await writeFile(join(directory, "networks.yaml"), JSON.stringify({ networks: {} }));
}

function istiodEnvironment(address: string): Readonly<Record<string, string>> {
  return {
    POD_NAMESPACE: namespace,
    POD_NAME: "istiod-0",
    INSTANCE_IP: address,
    SERVICE_ACCOUNT: "istiod",
    CLUSTER_ID: "Kubernetes",
    PILOT_CERT_PROVIDER: "istiod",
    REVISION: "default",
    // The API server reaches the webhook by this name.
    ISTIOD_CUSTOM_HOST: "localhost",
    // Envoy is the upstream build, without Istio's own filters.
    PILOT_ENABLE_METADATA_EXCHANGE: "false",
    PILOT_ENABLE_ALPN_FILTER: "false",
    // Nothing is injected, and the validator's CA is ours to write.
    INJECTION_WEBHOOK_CONFIG_NAME: "",
    VALIDATION_WEBHOOK_CONFIG_NAME: "",
  };
}

/** istiod's root certificate, which it keeps in each namespace. */
export async function rootCertificate(rest: Rest, inNamespace = namespace): Promise<string> {
  const path = `/api/v1/namespaces/${inNamespace}/configmaps/istio-ca-root-cert`;
  let body = "";
  const what = `istiod to write its root certificate to namespace ${inNamespace}`;
  await until(
    async () => {
      const answer = await rest.call({ path });
      body = answer.body;
      return answer.status === 200;
    },
    { what },
  );
  const { data } = JSON.parse(body) as { readonly data: Readonly<Record<string, string>> };
  return data["root-cert.pem"] ?? "";
}

// As in Istio's chart, for all revisions, and failing closed.
function validator(port: number, caPem: string): object {
  return {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "ValidatingWebhookConfiguration",
    metadata: { name: "istio-validator-istio-system" },
    webhooks: [
      {
        name: "rev.validation.istio.io",
        clientConfig: {
          url: `https://localhost:${port}/validate`,
          caBundle: Buffer.from(caPem, "utf8").toString("base64"),
        },
        rules: [
          {
            operations: ["CREATE", "UPDATE"],
            apiGroups: [
              "security.istio.io",
              "networking.istio.io",
              "telemetry.istio.io",
              "extensions.istio.io",
            ],
            apiVersions: ["*"],
            resources: ["*"],
          },
        ],
        failurePolicy: "Fail",
        sideEffects: "None",
        admissionReviewVersions: ["v1"],
      },
    ],
  };
}

/** Reads a token of a ServiceAccount. */
export async function serviceAccountToken(
  rest: Rest,
  account: { readonly namespace: string; readonly name: string },
  audiences: readonly string[],
): Promise<string> {
  const { status } = await rest.json<{ status: { token: string } }>({
    method: "POST",
    path: `/api/v1/namespaces/${account.namespace}/serviceaccounts/${account.name}/token`,
    body: {
      apiVersion: "authentication.k8s.io/v1",
      kind: "TokenRequest",
      spec: { audiences, expirationSeconds: 86_400 },
    },
  });
  return status.token;
}
