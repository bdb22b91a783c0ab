import { execFile } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { createNetwork, type Network, type PodPlace } from "../cluster/network";
import { startWatchdog, type Watchdog } from "../cluster/watchdog";
import { describeDataPlane } from "./data-plane-choice";

/** The addresses that a Pod's programs see on its link to the node. */
async function addressesIn({ prefix }: PodPlace): Promise<string> {
  const [program = "", ...args] = [...prefix, "ip", "-4", "-o", "addr", "show", "dev", "eth0"];
  return (await promisify(execFile)(program, args)).stdout;
}

describeDataPlane("the network of a Pod", () => {
  let watchdog: Watchdog;
  let network: Network;

  beforeAll(async () => {
    const directory = mkdtempSync(join(tmpdir(), "fairlead-test-"));
    watchdog = startWatchdog(directory);
    network = await createNetwork({ directory, watchdog, serviceRanges: [] });
  });

  // What it guards ends, and the directory goes.
  afterAll(async () => watchdog.close());

  it("is a new one for each Pod that has the name of one that is gone", async () => {
    const gone: string[] = [];
    for (let run = 0; run < 5; run += 1) {
      const pod = await network.addPod({ name: "api-server" });
      expect(await addressesIn(pod)).toContain(`inet ${pod.address} peer`);
      expect(gone).not.toContain(pod.address);
      await pod.remove();
      gone.push(pod.address);
    }
  });
});
