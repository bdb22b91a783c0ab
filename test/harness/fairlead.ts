import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseAllDocuments, stringify } from "yaml";
import { createCA, issue, type Cluster, type DataPlane } from "../cluster";
import { findFreePort } from "../cluster/ports";
import { startWatchdog } from "../cluster/watchdog";
import { fairleadProcess, type FairleadProcess, type ProcessOptions } from "./fairlead-process";

/** How fairlead is run against a cluster. */
export interface FairleadOptions {
  /** Address under which the API server reaches the webhook; default 127.0.0.1. */
  readonly host?: string;
  /** Environment of both processes, for settings. */
  readonly env?: Readonly<Record<string, string>>;
  /** Of node, for both processes: a profiler, say. */
  readonly nodeArgs?: readonly string[];
  /** Which process to start; both by default. */
  readonly processes?: readonly ("admission" | "watch")[];
  /** Of the folder of its files and logs; another one for a second fairlead in the same cluster. */
  readonly name?: string;
  /**
   * The watch process runs in its network, since it probes the gateway's Pods at their addresses. The admission process
   * stays outside, where the API server is.
   */
  readonly dataPlane?: Pick<DataPlane, "network" | "expose">;
}

/** fairlead, running against a cluster: both processes of the built module and a webhook that is called. */
export interface Fairlead {
  readonly admission: FairleadProcess;
  readonly watch: FairleadProcess;
  /** Where the webhook is served, its secret path included. */
  readonly webhookUrl: string;
  readonly caPem: string;
  stop(): Promise<void>;
}

interface WebhookConfiguration {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly webhooks: readonly { clientConfig: object }[];
}

const root = resolve(__dirname, "../..");
/** `FAIRLEAD_DIST`: another build, one that stays while dist/ is rebuilt, say. */
const distFolder = process.env.FAIRLEAD_DIST ?? join(root, "dist");
const modulePath = join(distFolder, "pepr-fairlead.js");
const manifestPath = join(distFolder, "pepr-module-fairlead.yaml");

const peprPrerequisites = [
  { apiVersion: "v1", kind: "Namespace", metadata: { name: "pepr-system" } },
  {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: "peprstores.pepr.dev" },
    spec: {
      group: "pepr.dev",
      scope: "Namespaced",
      names: { plural: "peprstores", singular: "peprstore", kind: "PeprStore" },
      versions: [
        {
          name: "v1",
          served: true,
          storage: true,
          schema: {
            openAPIV3Schema: {
              type: "object",
              properties: {
                data: { type: "object", additionalProperties: { type: "string" } },
              },
            },
          },
        },
      ],
    },
  },
];

/** kubectl, where anything but success is a fault of the set-up. */
export async function kubectl(
  cluster: Cluster,
  args: readonly string[],
  input?: string,
): Promise<string> {
  const result = await cluster.kubectl(args, input === undefined ? {} : { input });
  if (result.exitCode !== 0) throw new Error(`kubectl ${args.join(" ")}: ${result.stderr}`);
  return result.stdout;
}

/** Applies objects with kubectl. */
export async function apply(cluster: Cluster, objects: readonly object[]): Promise<void> {
  await kubectl(
    cluster,
    ["apply", "--server-side", "--force-conflicts", "-f", "-"],
    objects.map((object) => stringify(object)).join("---\n"),
  );
}

/** The webhook configuration that `pepr build` made, with the module's own rules, leading to a URL. */
function webhookConfiguration(url: string, caPem: string): object {
  const documents = parseAllDocuments(readFileSync(manifestPath, "utf8")).map(
    (document) => document.toJS() as WebhookConfiguration,
  );
  const found = documents.find(({ kind }) => kind === "MutatingWebhookConfiguration");
  if (found === undefined) throw new Error(`${manifestPath} holds no MutatingWebhookConfiguration`);
  const caBundle = Buffer.from(caPem).toString("base64");
  return {
    ...found,
    webhooks: found.webhooks.map((webhook) => ({ ...webhook, clientConfig: { url, caBundle } })),
  };
}

/** Lets the API server of a cluster call the webhook of a fairlead that runs. */
export async function registerWebhook(
  cluster: Cluster,
  { webhookUrl, caPem }: Pick<Fairlead, "webhookUrl" | "caPem">,
): Promise<void> {
  await apply(cluster, [webhookConfiguration(webhookUrl, caPem)]);
}

/** Where a process runs, and its port, at which it is found on 127.0.0.1 wherever it runs. */
async function placeOf(
  mode: "admission" | "watch",
  dataPlane: FairleadOptions["dataPlane"],
): Promise<Pick<ProcessOptions, "port" | "within">> {
  const port = await findFreePort();
  if (mode === "admission" || dataPlane === undefined) return { port };
  await dataPlane.expose(`127.0.0.1:${port}`, port);
  return { port, within: dataPlane.network.prefix };
}

/**
 * Starts fairlead's built module against a cluster, as two processes with an identity each, so that the audit log
 * tells their requests apart (users `fairlead-admission` and `fairlead-watch`).
 * @throws Error when the module was not built, or a process does not become ready.
 */
export async function startFairlead(
  cluster: Cluster,
  options: FairleadOptions = {},
): Promise<Fairlead> {
  if (!existsSync(modulePath) || !existsSync(manifestPath)) {
    throw new Error("dist/ holds no module; run `npm run build` first");
  }
  const host = options.host ?? "127.0.0.1";
  const directory = join(cluster.directory, options.name ?? "fairlead");
  mkdirSync(directory, { recursive: true });
  const ca = await createCA({ commonName: "fairlead-webhook-ca" });
  const leaf = await issue(ca, {
    commonName: "fairlead",
    ipAddresses: ["127.0.0.1"],
    dnsNames: ["localhost", ...(/^[\d.]+$/.test(host) ? [] : [host])],
    usages: ["server"],
  });
  const certificatePath = join(directory, "tls.crt");
  const privateKeyPath = join(directory, "tls.key");
  writeFileSync(certificatePath, leaf.certificatePem);
  writeFileSync(privateKeyPath, leaf.privateKeyPem, { mode: 0o600 });
  await apply(cluster, peprPrerequisites);

  const watchdog = startWatchdog(directory);
  const apiPath = randomBytes(16).toString("hex");
  const prepare = async (mode: "admission" | "watch"): Promise<FairleadProcess> => {
    const place = await placeOf(mode, options.dataPlane);
    return fairleadProcess({
      ...place,
      mode,
      modulePath,
      kubeconfigPath: await cluster.kubeconfigFor({
        name: `fairlead-${mode}`,
        groups: ["system:masters"],
      }),
      apiPath,
      certificatePath,
      privateKeyPath,
      caPem: ca.certificatePem,
      logPath: join(directory, `${mode}.log`),
      watchdog,
      nodeArgs: options.nodeArgs,
      ...(options.env === undefined ? {} : { env: options.env }),
    });
  };
  const admission = await prepare("admission");
  const watch = await prepare("watch");
  const webhookUrl = `https://${host}:${admission.port}/mutate/${apiPath}`;
  const wanted = options.processes ?? ["admission", "watch"];
  const stop = async (): Promise<void> => {
    await Promise.all([admission.stop(), watch.stop()]);
  };
  try {
    await Promise.all(
      [admission, watch]
        .filter(({ mode }) => wanted.includes(mode))
        .map((process) => process.start()),
    );
    if (wanted.includes("admission")) {
      await registerWebhook(cluster, { webhookUrl, caPem: ca.certificatePem });
    }
  } catch (error) {
    // A child that goes on would keep the caller's process from its end.
    await stop();
    throw error;
  }
  return { admission, watch, webhookUrl, caPem: ca.certificatePem, stop };
}
