import { Command, InvalidArgumentError } from "commander";
import { NODE_PROXY_IMAGES, nodeProxyManifest } from "../deploy/tunnel/manifests";

/** Prints what is applied in a hosted cluster so that its nodes reach the API server through the gateway's tunnels. */

const MAX_PORT = 65_535;

function toPort(text: string): number {
  const port = Number(text);
  if (Number.isInteger(port) && port > 0 && port <= MAX_PORT) return port;
  throw new InvalidArgumentError("a port is a number from 1 to 65535.");
}

interface Options {
  readonly gateway: string;
  readonly gatewayPort: number;
  readonly host: string;
  readonly listen: readonly string[];
  readonly listenPort: number;
  readonly statusPort: number;
  readonly namespace: string;
  readonly image: string;
  readonly addressImage: string;
}

function main(): void {
  const command = new Command("tunnel")
    .description(
      "Prints the manifest of the node proxies of a hosted cluster; see docs/tunnel.md. Apply it in that cluster.",
    )
    .requiredOption("--gateway <host>", "where nodes reach the gateway: a DNS name or an address")
    .option("--gateway-port <port>", "the gateway's tunnel port, as nodes reach it", toPort, 8132)
    .requiredOption("--host <host>", "a public host of the HostedAPIServer: who is meant")
    .requiredOption(
      "--listen <address...>",
      "addresses of each node that the Service default/kubernetes leads to",
    )
    .option("--listen-port <port>", "the API servers' --secure-port", toPort, 443)
    .option("--status-port <port>", "on 127.0.0.1, for probes and metrics", toPort, 16_910)
    .option("--namespace <name>", "of the proxies", "kube-system")
    .option("--image <image>", "upstream Envoy", NODE_PROXY_IMAGES.envoy)
    .option("--address-image <image>", "has a shell and ip", NODE_PROXY_IMAGES.address)
    .parse();
  const options = command.opts<Options>();
  const manifest = nodeProxyManifest({
    gateway: { host: options.gateway, port: options.gatewayPort },
    apiServerHost: options.host,
    listen: { addresses: options.listen, port: options.listenPort },
    statusPort: options.statusPort,
    namespace: options.namespace,
    images: { envoy: options.image, address: options.addressImage },
  });
  process.stdout.write(manifest);
}

main();
