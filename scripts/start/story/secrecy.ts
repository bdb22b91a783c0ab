import { readFile } from "node:fs/promises";
import { holdsPrivateKey } from "../copies";
import { mustKubectl, type Stage } from "../stage";

/**
 * Looks for private keys where none may be: both processes' logs, events and objects other than Secrets.
 * @throws {StoryError} when there is one.
 */
export async function tellSecrecy(stage: Stage): Promise<void> {
  const { tell, fairlead, privateKeys } = stage;
  tell.chapter("Nothing leaks");
  const logs = await Promise.all(
    [fairlead.admission, fairlead.watch].map(async ({ logPath }) => readFile(logPath, "utf8")),
  );
  const kinds = "events,hostedapiservers,internalgateways,configmaps,pods,services";
  const objects = await mustKubectl(stage, ["get", kinds, "--all-namespaces", "-o", "json"]);
  tell.claim(
    `none of the ${new Set(privateKeys).size} private keys is in a log, an event, a status or an annotation`,
    ![...logs, objects].some((text) => holdsPrivateKey(text, privateKeys)),
    "one of them is",
  );
}
