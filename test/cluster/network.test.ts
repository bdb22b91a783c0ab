import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createNetwork, NetworkUnavailableError } from "./network";
import { startWatchdog } from "./watchdog";

describe("a network", () => {
  it("says what is missing, and what runs without it", async () => {
    const directory = mkdtempSync(join(tmpdir(), "fairlead-test-"));
    const watchdog = startWatchdog(directory);
    const { PATH } = process.env;
    // A machine without `ip`.
    process.env.PATH = join(directory, "empty");
    const making = createNetwork({ directory, watchdog, serviceRanges: [] });
    await expect(making).rejects.toThrow(NetworkUnavailableError);
    process.env.PATH = PATH;
    await expect(making).rejects.toThrow(
      /cluster itself runs without[^]*Not on PATH: unshare, nse/,
    );
    await watchdog.close();
    rmSync(directory, { recursive: true, force: true });
  });
});
