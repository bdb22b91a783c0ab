import { execFile } from "node:child_process";
import { access, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { type ChildProgram, launchUntilReady } from "./child-program";
import { findOnPath } from "./find-on-path";
import type { Watchdog } from "./watchdog";

/** What a network is made in. */
export interface NetworkRequest {
  /** For hosts files and logs; shorter than 80 characters, since sockets are below it. */
  readonly directory: string;
  readonly watchdog: Watchdog;
  /** CIDRs of the cluster's Service addresses, all of which lead to the node. */
  readonly serviceRanges: readonly string[];
  readonly signal?: AbortSignal | undefined;
}

/** A line of a Pod's spec.hostAliases. */
export interface HostAlias {
  readonly ip: string;
  readonly hostnames?: readonly string[];
}

/** A network namespace that programs run in. */
export interface Place {
  /** Before a command, it makes the command run there. */
  readonly prefix: readonly string[];
  readonly address: string;
}

/** The network namespace of one Pod, connected to the node's. */
export interface PodPlace extends Place {
  readonly name: string;
  /** Replaces the entries of its /etc/hosts; programs that run see it at their next look-up. */
  setHostAliases(aliases: readonly HostAlias[]): Promise<void>;
  /** Packets to and from the Pod get lost, as when its node vanishes; "up" mends it. */
  setLink(state: "up" | "down"): Promise<void>;
  /** Ends the namespace. Programs in it must have ended. */
  remove(): Promise<void>;
}

/** What a Pod's namespace is made of. */
export interface PodPlaceRequest {
  /** A DNS label, unique in the network. */
  readonly name: string;
  readonly hostAliases?: readonly HostAlias[];
}

/** A node's network namespace, and those of its Pods; nothing of it is seen outside. */
export interface Network extends Place {
  addPod(request: PodPlaceRequest): Promise<PodPlace>;
}

/** The machine does not let this process make a network namespace. */
export class NetworkUnavailableError extends Error {
  override readonly name = "NetworkUnavailableError";
}

/** The node's own address, as its Pods see it. */
export const nodeAddress = "10.244.0.1";

const readyTimeoutMs = 20_000;
const neededCommands = ["unshare", "nsenter", "ip", "mount", "sleep"] as const;

/**
 * Makes a network namespace, as root or, where the machine allows it, as anybody (with a user
 * namespace). A process holds it: it is gone when that process ends, whatever way.
 * @throws {NetworkUnavailableError} that says what is missing and what runs without it.
 */
export async function createNetwork(request: NetworkRequest): Promise<Network> {
  await requireCommands();
  const isRoot = process.getuid?.() === 0;
  // Root of a container may lack the right to do it without a user namespace.
  const attempts = isRoot ? [rootNamespaces, userNamespaces] : [userNamespaces];
  const failures: unknown[] = [];
  for (const namespaces of attempts) {
    try {
      return await startNode(request, namespaces);
    } catch (error) {
      request.signal?.throwIfAborted();
      failures.push(error);
    }
  }
  const reasons = failures.map((error) => (error instanceof Error ? error.message : String(error)));
  throw unavailable(reasons.join("\n"));
}

interface Namespaces {
  readonly unshare: readonly string[];
  readonly enter: readonly string[];
}

const rootNamespaces: Namespaces = { unshare: ["-n", "-m"], enter: ["-n", "-m"] };
const userNamespaces: Namespaces = {
  unshare: ["-r", "-n", "-m"],
  enter: ["-U", "--preserve-credentials", "-n", "-m"],
};

async function requireCommands(): Promise<void> {
  if (process.platform !== "linux") throw unavailable(`This is ${process.platform}, not Linux.`);
  const found = await Promise.all(neededCommands.map(async (name) => findOnPath(name)));
  const missing = neededCommands.filter((_, index) => found[index] === undefined);
  if (missing.length > 0) {
    throw unavailable(`Not on PATH: ${missing.join(", ")} (packages util-linux, iproute2).`);
  }
}

function unavailable(reason: string): NetworkUnavailableError {
  return new NetworkUnavailableError(
    `No network namespace can be made here, so istiod, gateways and hosted API servers cannot run ` +
      `(endpoints refuse loopback addresses). The embedded cluster itself runs without: leave ` +
      `--data-plane out.\n${reason}\nRun it as root, or allow user namespaces (sysctl ` +
      "kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0, " +
      "user.max_user_namespaces>0; in a container also a seccomp profile that lets unshare pass).",
  );
}

// All addresses of the Service ranges are the node's, as IPVS would have it: whatever listens to
// one plays the Service, and what nobody listens to is refused.
function nodeScript(serviceRanges: readonly string[], readyPath: string): string {
  return [
    "set -e",
    "ip link set lo up",
    "echo 1 > /proc/sys/net/ipv4/ip_forward",
    "echo 1 > /proc/sys/net/ipv4/ip_nonlocal_bind",
    "if [ -e /proc/sys/net/ipv6/ip_nonlocal_bind ]; then echo 1 > /proc/sys/net/ipv6/ip_nonlocal_bind; fi",
    // Many short connections from few addresses: more ports, but none that istiod, etcd or kwok listens to later.
    "echo '20000 65000' > /proc/sys/net/ipv4/ip_local_port_range",
    `ip addr add ${nodeAddress}/32 dev lo`,
    ...serviceRanges.map((range) =>
      range.includes(":")
        ? `ip -6 route add local ${range} dev lo || true`
        : `ip route add local ${range} dev lo`,
    ),
    `touch '${readyPath}'`,
    "exec sleep 2147483647",
  ].join("\n");
}

async function startNode(request: NetworkRequest, namespaces: Namespaces): Promise<Network> {
  const { directory, watchdog, signal } = request;
  const readyPath = join(directory, "network-ready");
  const holder = await launchUntilReady(
    {
      program: "unshare",
      args: [...namespaces.unshare, "sh", "-c", nodeScript(request.serviceRanges, readyPath)],
      logPath: join(directory, "network.log"),
      directory,
      watchdog,
    },
    { isReady: async () => exists(readyPath), timeoutMs: readyTimeoutMs, signal },
  );
  const prefixOf = (program: ChildProgram) => [
    "nsenter",
    "-t",
    String(program.pid),
    ...namespaces.enter,
    "--",
  ];
  const prefix = prefixOf(holder);
  let podCount = 0;
  return {
    prefix,
    address: nodeAddress,
    async addPod(pod) {
      podCount += 1;
      const ground = { directory, watchdog, prefixOf, prefix, signal };
      return startPod(ground, pod, podCount);
    },
  };
}

interface Ground {
  readonly directory: string;
  readonly watchdog: Watchdog;
  readonly prefixOf: (program: ChildProgram) => readonly string[];
  readonly prefix: readonly string[];
  readonly signal: AbortSignal | undefined;
}

async function startPod(ground: Ground, pod: PodPlaceRequest, index: number): Promise<PodPlace> {
  const directory = join(ground.directory, "pods", pod.name);
  await mkdir(directory, { recursive: true });
  const hostsPath = join(directory, "hosts");
  // In place: what is mounted over /etc/hosts is this very file.
  const setHostAliases = async (aliases: readonly HostAlias[]) =>
    writeFile(hostsPath, hostsFile(pod.name, aliases));
  await setHostAliases(pod.hostAliases ?? []);
  const address = podAddress(index);
  const link = `pod${index}`;
  const readyPath = join(directory, "network-ready");
  const pidPath = join(directory, "network-pid");
  const { watchdog, prefix, signal } = ground;
  // Of an earlier Pod of the name, whose process is gone.
  await Promise.all([readyPath, pidPath].map(async (path) => rm(path, { force: true })));
  let isAttached = false;
  const isReady = async () => {
    if (!isAttached && (await exists(pidPath))) {
      isAttached = true;
      const pid = (await readFile(pidPath, "utf8")).trim();
      await run([...prefix, "sh", "-c", attachScript({ pid, address, link })]);
    }
    return exists(readyPath);
  };
  const holder = await launchUntilReady(
    {
      within: prefix,
      program: "unshare",
      args: ["-n", "-m", "sh", "-c", podScript({ hostsPath, pidPath, readyPath, address })],
      logPath: join(directory, "network.log"),
      directory,
      watchdog,
    },
    { isReady, timeoutMs: readyTimeoutMs, signal },
  );
  return {
    name: pod.name,
    address,
    prefix: ground.prefixOf(holder),
    setHostAliases,
    setLink: async (state) => run([...prefix, "ip", "link", "set", link, state]),
    remove: async () => holder.stop("SIGKILL"),
  };
}

function hostsFile(name: string, aliases: readonly HostAlias[]): string {
  const lines = aliases.map(({ ip, hostnames }) => [ip, ...(hostnames ?? [])].join("\t"));
  return ["127.0.0.1\tlocalhost", "::1\tlocalhost", `127.0.0.1\t${name}`, ...lines, ""].join("\n");
}

function podAddress(index: number): string {
  return `10.244.${1 + Math.floor(index / 250)}.${1 + (index % 250)}`;
}

// The Pod's end of the cable is put into its namespace by its process id, which it tells.
function podScript(pod: {
  readonly hostsPath: string;
  readonly pidPath: string;
  readonly readyPath: string;
  readonly address: string;
}): string {
  return [
    "set -e",
    `mount --bind '${pod.hostsPath}' /etc/hosts`,
    "ip link set lo up",
    // Programs that bind port 443 need no further rights.
    "echo 0 > /proc/sys/net/ipv4/ip_unprivileged_port_start",
    `echo $$ > '${pod.pidPath}.new' && mv '${pod.pidPath}.new' '${pod.pidPath}'`,
    "while ! ip link show eth0 > /dev/null 2>&1; do sleep 0.02; done",
    `ip addr add ${pod.address} peer ${nodeAddress} dev eth0`,
    "ip link set eth0 up",
    `ip route add default via ${nodeAddress}`,
    `touch '${pod.readyPath}'`,
    "exec sleep 2147483647",
  ].join("\n");
}

function attachScript(pod: {
  readonly pid: string;
  readonly address: string;
  readonly link: string;
}): string {
  return [
    "set -e",
    `ip link add ${pod.link} type veth peer name eth0 netns ${pod.pid}`,
    `ip addr add ${nodeAddress} peer ${pod.address} dev ${pod.link}`,
    `ip link set ${pod.link} up`,
  ].join("\n");
}

async function run(command: readonly string[]): Promise<void> {
  const [program = "", ...args] = command;
  await promisify(execFile)(program, args);
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
