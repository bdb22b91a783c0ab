import { readFileSync } from "node:fs";
import { Agent, get } from "node:https";
import { parse } from "yaml";
import { userOf } from "../harness/hardened";
import type { FaultStage } from "./stage";

const API_GROUP = "flowcontrol.apiserver.k8s.io/v1";
const NAME = "narrow";
const LOADERS = 24;
const MAX_ROUNDS = 200;

/** As few seats as there can be for fairlead, none borrowed, and nobody waits: the next one is refused. */
const narrowLevel = {
  apiVersion: API_GROUP,
  kind: "PriorityLevelConfiguration",
  metadata: { name: NAME },
  spec: {
    type: "Limited",
    limited: {
      nominalConcurrencyShares: 1,
      borrowingLimitPercent: 0,
      lendablePercent: 0,
      limitResponse: { type: "Reject" },
    },
  },
};

const ServiceAccount = { name: "fairlead-watch", namespace: "pepr-system" };
const everything = { verbs: ["*"], apiGroups: ["*"], resources: ["*"] };

const narrowSchema = {
  apiVersion: API_GROUP,
  kind: "FlowSchema",
  metadata: { name: NAME },
  spec: {
    priorityLevelConfiguration: { name: NAME },
    matchingPrecedence: 2,
    rules: [
      {
        subjects: [{ kind: "ServiceAccount", serviceAccount: ServiceAccount }],
        resourceRules: [{ ...everything, clusterScope: true, namespaces: ["*"] }],
      },
    ],
  },
};

async function tokenOf({ forFairlead }: FaultStage): Promise<string> {
  const path = await forFairlead.kubeconfigFor({ name: "fairlead-watch", groups: [] });
  const { users } = parse(readFileSync(path, "utf8")) as {
    users: readonly { readonly user: { readonly token: string } }[];
  };
  return users[0]?.user.token ?? "";
}

/** Asks again and again, as fairlead's account, until told to stop. */
async function fill(stage: FaultStage, isOver: () => boolean): Promise<void> {
  const { url, caPem } = stage.cluster.apiServer;
  const authorization = `Bearer ${await tokenOf(stage)}`;
  const agent = new Agent({ keepAlive: true, maxSockets: LOADERS, ca: caPem });
  const ask = async (): Promise<void> =>
    new Promise((resolve) => {
      const headers = { authorization, "user-agent": "loader" };
      const asked = get(`${url}/api/v1/secrets`, { agent, headers }, (response) => {
        response.resume();
        response.on("close", resolve);
      });
      asked.on("error", () => {
        resolve();
      });
    });
  const loop = async (): Promise<void> => {
    while (!isOver()) await ask();
  };
  await Promise.all(Array.from({ length: LOADERS }, loop));
  agent.destroy();
}

/** How many of fairlead's requests the API server has refused, by its audit log; those that fill the seats aside. */
async function countRefused({ cluster }: FaultStage, since: Date): Promise<number> {
  const events = await cluster.auditEvents({ user: userOf("watch"), since });
  return events.filter(
    ({ responseStatus, userAgent }) => responseStatus?.code === 429 && userAgent === "fairlead",
  ).length;
}

/**
 * Has the API server refuse many of fairlead's requests while something is done, again and again until enough were.
 * @returns How many it refused, and how often it was done.
 */
export async function throttle(
  stage: FaultStage,
  enough: number,
  run: () => Promise<void>,
): Promise<{ readonly refused: number; readonly rounds: number }> {
  const since = new Date();
  let rounds = 0;
  await stage.kubectl(["apply", "-f", "-"], [narrowLevel, narrowSchema]);
  let isOver = false;
  const filling = fill(stage, () => isOver);
  try {
    while ((await countRefused(stage, since)) < enough && rounds < MAX_ROUNDS) {
      await run();
      rounds += 1;
    }
  } finally {
    isOver = true;
    await filling;
    await stage.kubectl(["delete", "flowschema,prioritylevelconfiguration", NAME]);
  }
  return { refused: await countRefused(stage, since), rounds };
}
