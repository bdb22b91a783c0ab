import { appendFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { eventually } from "../harness/eventually";
import type { ClientPod, ExposedTenant } from "../harness/exposed-tenant";
import { setExposureStage, type ExposureStage } from "../harness/exposure-stage";
import { startCommand, type PodCommand } from "../harness/pod-command";
import { addPlayedPod, bindClusterRole, podKubectl } from "../harness/pod-kubectl";
import { START_TIMEOUT_MS, untilRouted } from "../harness/stage";
import { describeLong } from "./data-plane-choice";

jest.setTimeout(START_TIMEOUT_MS);

/** Longer than ten minutes, after which the gateways of others have cut streams. */
const idleMs = 11 * 60_000;

/** A stream, and what shows after the idle time that it still works. */
interface IdleStream {
  readonly name: string;
  readonly command: PodCommand;
  /** Seen before the idle time. */
  readonly begun: RegExp;
  readonly wake: () => void;
  /** Seen after it. */
  readonly woken: RegExp;
}

/** Two requests on one TCP connection; the second one when a line comes. */
const twoRequests = `
const socket = require("node:net").connect(Number(process.argv[1]), "127.0.0.1");
const ask = () => socket.write("GET /healthz HTTP/1.1\\r\\nhost: a\\r\\n\\r\\n");
socket.on("data", (chunk) => console.log(String(chunk)));
socket.on("close", () => process.exit(1));
process.stdin.once("data", () => { console.log("woken"); ask(); });
ask();
`;

describeLong("a stream that is idle for 11 minutes", () => {
  let stage: ExposureStage;
  let tenant: ExposedTenant;
  let client: ClientPod;

  const identities = {
    certificate: { user: { name: "admin", groups: ["system:masters"] } },
    token: { account: { namespace: "default", name: "robot" } },
  };

  beforeAll(async () => {
    stage = await setExposureStage();
    tenant = await stage.addTenant({ name: "tenant-a", replicaZones: ["zone-1", "zone-2"] });
    await tenant.untilReady();
    await untilRouted(stage.api, tenant.namespace);
    client = await tenant.addClient({ name: "client" });
    await tenant.hosted.tokenFor(identities.token.account);
    await bindClusterRole(tenant.hosted, "cluster-admin", "--serviceaccount=default:robot");
    await addPlayedPod(tenant.hosted, "shell");
  }, START_TIMEOUT_MS);

  afterAll(async () => {
    await stage.stop();
  });

  async function startStreams(
    identity: keyof typeof identities,
    protocol: "WebSocket" | "SPDY",
  ): Promise<readonly IdleStream[]> {
    const kubeconfig = await tenant.kubeconfigFor(identities[identity]);
    const { start } = podKubectl({ client, hosted: tenant.hosted, kubeconfig, protocol });
    const way = `${identity}-${protocol}`.toLowerCase();
    const exec = start("exec", "-i", "shell", "--", "cat");
    exec.write("first\n");
    const forward = start("port-forward", "shell", ":80");
    const [, port = ""] = await forward.untilOutput(/127\.0\.0\.1:(\d+) -> 80/);
    // logs is a plain request, whatever the protocol of others.
    const kinds = protocol === "SPDY" ? ["attach"] : ["attach", "logs"];
    const connection = startCommand(client, [process.execPath, "-e", twoRequests, port]);
    return [
      {
        name: `exec ${way}`,
        command: exec,
        begun: /first/,
        wake: () => {
          exec.write("second\n");
        },
        woken: /second/,
      },
      {
        name: `port-forward ${way}`,
        command: connection,
        begun: /200 OK/,
        wake: () => {
          connection.write("go on\n");
        },
        woken: /woken[^]*200 OK/,
      },
      ...kinds.map((kind) => ({
        name: `${kind} ${way}`,
        command: start(kind, ...(kind === "logs" ? ["-f"] : []), "shell"),
        begun: /begun/,
        wake: () => undefined,
        woken: /the end/,
      })),
      {
        name: `watch ${way}`,
        command: start("get", "pods", "-w", "-o", "name"),
        begun: /pod\/shell/,
        wake: () => undefined,
        woken: /pod\/late/,
      },
    ];
  }

  it("lives, of each kind, by each protocol, with a certificate or a token", async () => {
    const streams = (
      await Promise.all(
        (["certificate", "token"] as const).flatMap((identity) =>
          (["WebSocket", "SPDY"] as const).map(async (protocol) =>
            startStreams(identity, protocol),
          ),
        ),
      )
    ).flat();
    const say = async (text: string) =>
      appendFile(tenant.hosted.kwok.podLogPath, `2026-01-01T00:00:00Z stdout F ${text}\n`);
    for (const { command, begun } of streams) {
      // An attached one sees only what comes from then on.
      await eventually(async () => {
        await say("begun");
        await command.untilOutput(begun, { timeoutMs: 1_000 });
      });
    }
    await sleep(idleMs);
    await say("the end");
    await addPlayedPod(tenant.hosted, "late");
    for (const { wake } of streams) wake();
    const dead: string[] = [];
    for (const { name, command, woken } of streams) {
      await command.untilOutput(woken).catch(() => dead.push(`${name}: ${command.output()}`));
    }
    expect(dead).toEqual([]);
    await Promise.all(streams.map(async ({ command }) => command.stop()));
  });
});
