import type { Client, CommandResult, HostedAPIServer } from "../cluster";
import { startCommand, type PodCommand } from "./pod-command";

/** How kubectl streams: it tries WebSockets first, unless it is told not to. */
const STREAM_PROTOCOLS = {
  WebSocket: {},
  SPDY: {
    KUBECTL_REMOTE_COMMAND_WEBSOCKETS: "false",
    KUBECTL_PORT_FORWARD_WEBSOCKETS: "false",
  },
} as const;

/** One of kubectl's ways to stream. */
export type StreamProtocol = keyof typeof STREAM_PROTOCOLS;

/** kubectl in a client's Pod, as one user. */
export interface PodKubectl {
  readonly run: (...args: readonly string[]) => Promise<CommandResult>;
  readonly start: (...args: readonly string[]) => PodCommand;
}

/** Where kubectl runs, and as whom. */
export interface PodKubectlRequest {
  readonly client: Pick<Client, "prefix" | "run">;
  readonly hosted: Pick<HostedAPIServer, "kubectlPath">;
  readonly kubeconfig: string;
  /** Default: WebSocket. */
  readonly protocol?: StreamProtocol;
}

/** Makes the kubectl of a client's Pod. */
export function podKubectl(request: PodKubectlRequest): PodKubectl {
  const { client, hosted, kubeconfig, protocol = "WebSocket" } = request;
  const variables = STREAM_PROTOCOLS[protocol];
  const command = (args: readonly string[]) => [
    hosted.kubectlPath,
    "--kubeconfig",
    kubeconfig,
    ...args,
  ];
  return {
    run: async (...args) =>
      client.run(command(args), { environment: { ...process.env, ...variables } }),
    start: (...args) => startCommand(client, command(args), variables),
  };
}

/** Runs kubectl as the administrator of a hosted cluster; it must succeed. */
async function administer(
  hosted: HostedAPIServer,
  args: readonly string[],
  input?: object,
): Promise<void> {
  const options = input === undefined ? {} : { input: JSON.stringify(input) };
  const { exitCode, stderr } = await hosted.kubectl(args, options);
  if (exitCode !== 0) throw new Error(`kubectl ${args.join(" ")}: ${stderr}`);
}

/** A subject of RBAC, as kubectl's flags say it. */
export type Subject = `--serviceaccount=${string}:${string}` | `--group=${string}`;

/** Gives somebody a ClusterRole in a hosted cluster. */
export async function bindClusterRole(
  hosted: HostedAPIServer,
  role: string,
  subject: Subject,
): Promise<void> {
  const name = `${role}-${subject}`.replace(/[^a-z0-9]+/g, "-");
  await administer(hosted, [
    "create",
    "clusterrolebinding",
    name,
    `--clusterrole=${role}`,
    subject,
  ]);
}

/** A Pod `default/<name>` in a hosted cluster, which kwok plays; ready when it is there. */
export async function addPlayedPod(hosted: HostedAPIServer, name: string): Promise<void> {
  const pod = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name },
    spec: { nodeName: "node-zone-1", containers: [{ name: "main", image: "none" }] },
  };
  await administer(hosted, ["create", "-f", "-"], pod);
  await administer(hosted, ["wait", `pod/${name}`, "--for=condition=Ready", "--timeout=60s"]);
}
