import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { nodeProxyConfiguration } from "../../deploy/tunnel/envoy";
import type { Client, DataPlane } from "../cluster";
import { findPrograms } from "../cluster/binaries";
import { silentProgress } from "../cluster/progress";
import { inClusterNames } from "../../lib/domain/in-cluster-names";
import { eventually } from "./eventually";
import { startCommand, type PodCommand } from "./pod-command";

/** A node of a hosted cluster: a network namespace of its own, in which the node proxy runs. */
export interface TunnelNode extends Client {
  readonly proxy: PodCommand;
}

/** What a node is told. */
export interface TunnelNodeRequest {
  readonly name: string;
  /** Where it reaches the gateway. */
  readonly gateway: { readonly host: string; readonly port: number };
  /** Who it says that it means. */
  readonly apiServerHost: string;
  /** Of the Service `default/kubernetes` in the hosted cluster. */
  readonly clusterIP: string;
}

const STATUS_PORT = 16_910;

/**
 * Starts upstream Envoy with the configuration that is generated for nodes. The cluster IP is the namespace's own, as
 * the DaemonSet makes it, and the in-cluster names lead to it, as cluster DNS has it.
 */
export async function addTunnelNode(
  plane: DataPlane,
  request: TunnelNodeRequest,
): Promise<TunnelNode> {
  const { name, clusterIP, gateway, apiServerHost } = request;
  const hostnames = inClusterNames("cluster.local");
  const client = await plane.addClient({ name, hostAliases: [{ ip: clusterIP, hostnames }] });
  const address = ["ip", "addr", "add", `${clusterIP}/32`, "dev", "lo"];
  const { exitCode, stderr } = await client.run(address);
  if (exitCode !== 0) throw new Error(`${address.join(" ")}: ${stderr}`);
  const folder = join(plane.directory, "nodes", name);
  mkdirSync(folder, { recursive: true });
  const text = JSON.stringify(
    nodeProxyConfiguration({
      gateway,
      apiServerHost,
      listen: { addresses: [clusterIP], port: 443 },
      statusPort: STATUS_PORT,
    }),
    // Nodes share this machine's files.
  ).replaceAll("/run/envoy/admin.sock", join(folder, "admin.sock"));
  const file = join(folder, "envoy.json");
  writeFileSync(file, text);
  const { paths } = await findPrograms({ programs: ["envoy"], progress: silentProgress });
  const flags = ["--config-path", file, "--concurrency", "1", "--use-dynamic-base-id"];
  const proxy = startCommand(client, [paths.envoy ?? "", ...flags]);
  await eventually(async () => {
    const script = `fetch("http://127.0.0.1:${STATUS_PORT}/ready").then(({ok}) => process.exit(ok ? 0 : 1))`;
    const ready = await client.run([process.execPath, "-e", script]);
    if (ready.exitCode !== 0) throw new Error(`not ready: ${proxy.output().slice(-2000)}`);
  });
  return {
    ...client,
    proxy,
    async remove() {
      await proxy.stop();
      await client.remove();
    },
  };
}
