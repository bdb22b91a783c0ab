import { join } from "node:path";
import { launchUntilReady, retryPortClash } from "./child-program";
import { probe } from "./http-probe";
import { findFreePort } from "./ports";
import type { Watchdog } from "./watchdog";

/** A running etcd. It listens on 127.0.0.1 without TLS. */
export interface Etcd {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  stop(signal?: NodeJS.Signals): Promise<void>;
}

/** What an etcd is started from. */
export interface EtcdRequest {
  readonly program: string;
  /** The cluster's own directory; data and log go there. */
  readonly directory: string;
  readonly watchdog: Watchdog;
  readonly signal?: AbortSignal | undefined;
}

const readyTimeoutMs = 60_000;

/**
 * Starts etcd with an empty store and waits until it is healthy.
 * @throws what `waitUntilReady` throws.
 */
export async function startEtcd(request: EtcdRequest): Promise<Etcd> {
  return retryPortClash(async () => {
    const [port, peerPort] = [await findFreePort(), await findFreePort()];
    const url = `http://127.0.0.1:${port}`;
    const isReady = async () => (await probe(`${url}/health`)).status === 200;
    return launchEtcd(request, { address: "127.0.0.1", port, peerPort, isReady });
  });
}

/** Where an etcd listens, and how to find out that it does. */
export interface EtcdPlace {
  readonly address: string;
  readonly port: number;
  readonly peerPort: number;
  /** Default: this process's own network namespace. */
  readonly within?: readonly string[];
  readonly isReady: () => Promise<boolean>;
}

/**
 * Starts etcd at a place and waits until it is healthy.
 * @throws what `waitUntilReady` throws.
 */
export async function launchEtcd(request: EtcdRequest, place: EtcdPlace): Promise<Etcd> {
  const { address, port } = place;
  const url = `http://${address}:${port}`;
  const peerUrl = `http://${address}:${place.peerPort}`;
  const program = await launchUntilReady(
    {
      ...request,
      within: place.within,
      args: etcdFlags(request.directory, { url, peerUrl }),
      logPath: join(request.directory, "etcd.log"),
    },
    { isReady: place.isReady, timeoutMs: readyTimeoutMs, signal: request.signal },
  );
  return { url, port, pid: program.pid, stop: async (signal) => program.stop(signal) };
}

function etcdFlags(directory: string, urls: { url: string; peerUrl: string }): string[] {
  return [
    `--data-dir=${join(directory, "etcd")}`,
    `--listen-client-urls=${urls.url}`,
    `--advertise-client-urls=${urls.url}`,
    `--listen-peer-urls=${urls.peerUrl}`,
    `--initial-advertise-peer-urls=${urls.peerUrl}`,
    `--initial-cluster=default=${urls.peerUrl}`,
    // The data is thrown away at the end: no write needs to reach the disk.
    "--unsafe-no-fsync",
    "--quota-backend-bytes=8589934592",
    "--log-level=warn",
  ];
}
