import { mkdtemp, realpath, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { findPrograms } from "./binaries";
import { createSigningRequest } from "./certificates";
import type { Cluster } from "./cluster";
import type { User } from "./cluster-files";
import { findOnPath } from "./find-on-path";
import { createKubectl, type Kubectl, type KubectlOptions } from "./kubectl";
import { type Progress, silentProgress } from "./progress";
import { startWatchdog } from "./watchdog";

/** Which existing cluster is used. */
export interface ConnectOptions {
  /** Path of a kubeconfig whose current context is of a cluster administrator. */
  readonly kubeconfig: string;
  readonly progress?: Progress | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The existing cluster did not do what was asked; the message has kubectl's own words. */
class ExistingClusterError extends Error {
  override readonly name = "ExistingClusterError";
}

/**
 * Uses a cluster that exists already (k3d's, say), with kubectl from PATH, else from where the
 * embedded cluster has it.
 * @throws {ExistingClusterError} when it does not answer.
 */
export async function connectCluster(options: ConnectOptions): Promise<Cluster> {
  const program = (await findOnPath("kubectl")) ?? (await findKubectl(options));
  const directory = await mkdtemp(join(await realpath(tmpdir()), "fairlead-existing-"));
  const watchdog = startWatchdog(directory);
  try {
    const kubectl = createKubectl({ program, directory, kubeconfig: options.kubeconfig });
    return {
      version: await serverVersion(kubectl),
      kubeconfigPath: options.kubeconfig,
      directory,
      kubectl,
      kubeconfigFor: async (user) => writeUserKubeconfig(kubectl, directory, user),
      stop: async () => watchdog.close(),
    };
  } catch (error) {
    await watchdog.close();
    throw error;
  }
}

async function findKubectl(options: ConnectOptions): Promise<string> {
  const { signal, progress = silentProgress } = options;
  const { paths } = await findPrograms({ programs: ["kubectl"], progress, signal });
  if (paths.kubectl === undefined) throw new ExistingClusterError("No kubectl was found.");
  return paths.kubectl;
}

async function serverVersion(kubectl: Kubectl): Promise<string> {
  const answer: unknown = JSON.parse(await must(kubectl, ["get", "--raw", "/version"]));
  const hasVersion = typeof answer === "object" && answer !== null && "gitVersion" in answer;
  return hasVersion ? String(answer.gitVersion).replace(/^v/, "") : "unknown";
}

// The cluster's CA key is not ours, so the cluster itself signs. (It refuses system:masters.)
async function writeUserKubeconfig(
  kubectl: Kubectl,
  directory: string,
  user: User,
): Promise<string> {
  const subject = { commonName: user.name, organizations: user.groups };
  const { requestPem, privateKeyPem } = await createSigningRequest(subject);
  const name = await createRequest(kubectl, requestPem);
  await must(kubectl, ["certificate", "approve", name]);
  const certificate = await waitForCertificate(kubectl, name);
  await must(kubectl, ["delete", "certificatesigningrequest", name]);
  const path = join(directory, `kubeconfig-${encodeURIComponent(user.name)}`);
  const view = await must(kubectl, ["config", "view", "--raw", "--minify", "--flatten", "-o=json"]);
  const kubeconfig = JSON.parse(view) as { users: { name: string; user: object }[] };
  const clientKey = Buffer.from(privateKeyPem, "utf8").toString("base64");
  const credentials = { "client-certificate-data": certificate, "client-key-data": clientKey };
  const users = kubeconfig.users.map((entry) => ({ name: entry.name, user: credentials }));
  await writeFile(path, JSON.stringify({ ...kubeconfig, users }), { mode: 0o600 });
  return path;
}

async function createRequest(kubectl: Kubectl, requestPem: string): Promise<string> {
  const request = {
    apiVersion: "certificates.k8s.io/v1",
    kind: "CertificateSigningRequest",
    metadata: { generateName: "fairlead-" },
    spec: {
      request: Buffer.from(requestPem, "utf8").toString("base64"),
      signerName: "kubernetes.io/kube-apiserver-client",
      usages: ["client auth"],
    },
  };
  const args = ["create", "-f", "-", "-o=jsonpath={.metadata.name}"];
  return must(kubectl, args, { input: JSON.stringify(request) });
}

const signPollMs = 200;
const signAttempts = 150;

async function waitForCertificate(kubectl: Kubectl, name: string): Promise<string> {
  const args = ["get", "certificatesigningrequest", name, "-o=jsonpath={.status.certificate}"];
  for (let attempt = 0; attempt < signAttempts; attempt += 1) {
    const certificate = await must(kubectl, args);
    if (certificate !== "") return certificate;
    await sleep(signPollMs);
  }
  throw new ExistingClusterError(
    `The cluster did not sign the certificate request ${name} within 30 s.`,
  );
}

async function must(
  kubectl: Kubectl,
  args: readonly string[],
  options?: KubectlOptions,
): Promise<string> {
  const { exitCode, stdout, stderr } = await kubectl(args, options);
  if (exitCode === 0) return stdout;
  const command = args.slice(0, 2).join(" ");
  throw new ExistingClusterError(`kubectl ${command} failed: ${stderr.trim()}`);
}
