import { dirname } from "node:path";
import { followServers } from "./drain";
import { readModule, runModule } from "./launch";

// `node launch.cjs <sha256>`: what the container starts. Pepr and its packages are in the image's working directory.

/** Together below terminationGracePeriodSeconds, of which the preStop hook takes a part. */
const DRAIN_TIMES = { drainMs: 10_000, limitMs: 20_000 };

const [, self = "", sha256 = ""] = process.argv;
const servers = followServers();
let isEnding = false;
process.on("SIGTERM", () => {
  if (isEnding) return;
  isEnding = true;
  // The watch process can end at any time: what it was about to do, the next one does.
  const times = process.env.PEPR_WATCH_MODE === "true" ? { drainMs: 0, limitMs: 0 } : DRAIN_TIMES;
  void servers.drain(times).then(() => process.exit(0));
});
// Pepr's own closes the server at once, while API servers are still being led here.
process.on("newListener", (event: string, listener: () => void) => {
  if (event === "SIGTERM") setImmediate(() => process.off(event, listener));
});
runModule(readModule(dirname(self), sha256), `${process.cwd()}/fairlead.js`);
