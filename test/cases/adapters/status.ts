import { decideReady } from "../../../capabilities/status/decide";
import type { HostedAPIServer } from "../../../lib/api";
import type { CaseAdapter } from "../runner";

/** `when.yaml` is the HostedAPIServer with the conditions that the other capabilities have set. */
export const adapter: CaseAdapter = {
  capability: "status",
  kinds: [],
  worldKeys: [],
  run(_given, when) {
    if ((when as { kind?: string }).kind !== "HostedAPIServer") {
      throw new Error("when.yaml: the subject is a HostedAPIServer.");
    }
    return decideReady(when as HostedAPIServer);
  },
};
