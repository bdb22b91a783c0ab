import { setTimeout as sleep } from "node:timers/promises";
import { LARGE_CASES_VERSION } from "../e2e/versions";
import { namespace, routeConfigMap, routedPod, service } from "../harness/objects";
import { START_TIMEOUT_MS, untilRouted } from "../harness/stage";
import { setWebhookStage, type WebhookStage } from "../harness/webhook-stage";
import { fault, isOnce } from "./fault";
import { fuzz, type Target } from "./fuzz";

jest.setTimeout(1_800_000);

const GATEWAYS = "istio-ingress";
const PODS = 2_000;
const CONCURRENCY = 4;
const SERVER_NAME = "pepr-fairlead.pepr-system.svc";
/** How many reviews are made up. */
const FUZZ_RUNS = isOnce ? 1_500 : 20_000;

describe("admission while things go wrong", () => {
  let stage: WebhookStage;

  /** Creates Pods, several at a time, until there are enough and `isOver`. */
  const createPods = async (isOver: () => boolean) => {
    let asked = 0;
    const lost: string[] = [];
    const loop = async (): Promise<void> => {
      while (asked < PODS || !isOver()) {
        asked += 1;
        try {
          const { body } = await stage.api.create(routedPod("routed", `pod-${asked}`));
          const aliases = body.spec?.hostAliases as readonly unknown[] | undefined;
          if (aliases === undefined) lost.push(`${body.metadata.name ?? ""} has no host alias`);
        } catch (error) {
          lost.push(String(error));
        }
      }
    };
    await Promise.all(Array.from({ length: CONCURRENCY }, loop));
    return { asked, lost };
  };

  /** One replica after the other is told to end, and starts again once it has. */
  const restartAll = async (): Promise<void> => {
    for (const replica of stage.replicas) {
      await sleep(500);
      await replica.stop("SIGTERM");
      await replica.start();
    }
  };

  beforeAll(async () => {
    stage = await setWebhookStage({
      version: LARGE_CASES_VERSION,
      program: "manifest",
      env: {},
      objects: [
        namespace(GATEWAYS),
        namespace("routed"),
        namespace("broken"),
        routeConfigMap("broken", { hosts: "", "istio-namespace": GATEWAYS }),
        service(GATEWAYS, "istio-ingressgateway-internal"),
        routeConfigMap("routed", { hosts: "api.example.com", "istio-namespace": GATEWAYS }),
      ],
    });
    const [watcher] = stage.watchers;
    await Promise.all([...stage.replicas, watcher].map(async (each) => each?.start()));
    // The API server hears for itself of what the watcher makes of the webhook.
    await untilRouted(stage.api, "routed", { timeoutMs: 90_000 });
  }, START_TIMEOUT_MS);

  afterAll(async () => {
    await stage.stop();
  });

  fault("admission replicas restarted one after the other", async () => {
    let isOver = false;
    const creating = createPods(() => isOver);
    await restartAll();
    isOver = true;
    const { asked, lost } = await creating;
    const kept = await stage.api.list("Pod", "routed");
    expect(kept).toHaveLength(asked - lost.length);
    return { did: `${asked} Pods created meanwhile`, lost };
  });

  fault("made-up AdmissionReviews", async () => {
    const [replica] = stage.replicas;
    const encoded = stage.manifest.get("Secret/pepr-fairlead-api-path")?.data?.value ?? "";
    const target: Target = {
      port: replica?.port ?? 0,
      path: `/mutate/${Buffer.from(encoded, "base64").toString("utf8")}`,
      serverName: SERVER_NAME,
    };
    const { reviews, patched, denied } = await fuzz(target, { runs: FUZZ_RUNS });
    // What is made up must come to everything that an answer can be.
    expect([patched > 0, denied > 0]).toEqual([true, true]);
    expect(replica?.isRunning()).toBe(true);
    const { body } = await stage.api.tryToCreate(routedPod("routed", "last"));
    expect(body.spec?.hostAliases).toBeDefined();
    return {
      did: `${reviews} reviews, of which ${patched} came to a patch and ${denied} to a denial`,
      lost: [],
    };
  });
});
