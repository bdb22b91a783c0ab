import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createCA, issue, type EmbeddedCluster, type Progress } from "../../test/cluster";
import { launchUntilReady } from "../../test/cluster/child-program";
import { probe } from "../../test/cluster/http-probe";
import { findFreePort } from "../../test/cluster/ports";
import { startWatchdog } from "../../test/cluster/watchdog";
import type { AnyObject } from "../../test/harness/api";
import { findBenchProgram } from "./programs";

/** A webhook's server: where it is called, and by what CA it is trusted. */
export interface WebhookServer {
  readonly port: number;
  readonly path: string;
  readonly caPem: string;
}

/** The Go peer, running. */
export interface Peer extends WebhookServer {
  /** Its webhook configuration, leading to a URL. */
  configuration(url: string): AnyObject;
  stop(): Promise<void>;
}

const PATH = "/webhooks/pod-kube-apiserver-load-balancing";
/** The label of the namespaces in which Gardener's webhook is called. */
export const SHOOT_LABELS = { "gardener.cloud/role": "shoot" };

/**
 * Gardener's own configuration of it, unchanged.
 * @see https://github.com/gardener/gardener/blob/master/pkg/component/gardener/resourcemanager/resource_manager.go
 */
function configurationOf(url: string, caPem: string): AnyObject {
  return {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "MutatingWebhookConfiguration",
    metadata: { name: "gardener-resource-manager" },
    webhooks: [
      {
        name: "pod-kube-apiserver-load-balancing.resources.gardener.cloud",
        admissionReviewVersions: ["v1beta1", "v1"],
        clientConfig: { url, caBundle: Buffer.from(caPem).toString("base64") },
        failurePolicy: "Fail",
        matchPolicy: "Exact",
        namespaceSelector: { matchLabels: SHOOT_LABELS },
        rules: [
          { apiGroups: [""], apiVersions: ["v1"], operations: ["CREATE"], resources: ["pods"] },
        ],
        sideEffects: "None",
        timeoutSeconds: 10,
      },
    ],
  };
}

/** Whether somebody serves there; that there is nothing at the path is an answer too. */
async function answers(port: number, caPem: string): Promise<boolean> {
  return (await probe(`https://127.0.0.1:${port}/`, { caPem })).status !== 0;
}

/** Starts the peer against a cluster; it is built where it is not there yet. */
export async function startPeer(cluster: EmbeddedCluster, progress: Progress): Promise<Peer> {
  const program = await findBenchProgram("peer", progress);
  const directory = join(cluster.directory, "peer");
  await mkdir(directory, { recursive: true });
  const ca = await createCA({ commonName: "peer-webhook-ca" });
  const leaf = await issue(ca, {
    commonName: "peer",
    ipAddresses: ["127.0.0.1"],
    dnsNames: ["localhost"],
    usages: ["server"],
  });
  await writeFile(join(directory, "tls.crt"), leaf.certificatePem);
  await writeFile(join(directory, "tls.key"), leaf.privateKeyPem, { mode: 0o600 });
  const port = await findFreePort();
  const kubeconfig = await cluster.kubeconfigFor({ name: "peer", groups: ["system:masters"] });
  const watchdog = startWatchdog(directory);
  const logPath = join(directory, "peer.log");
  const child = await launchUntilReady(
    {
      program,
      args: [`--kubeconfig=${kubeconfig}`, `--port=${port}`, `--cert-dir=${directory}`],
      directory,
      logPath,
      watchdog,
    },
    { isReady: async () => answers(port, ca.certificatePem), timeoutMs: 60_000 },
  );
  return {
    port,
    path: PATH,
    caPem: ca.certificatePem,
    configuration: (url) => configurationOf(url, ca.certificatePem),
    async stop() {
      await child.stop();
      await watchdog.close();
    },
  };
}
