import fc from "fast-check";
import { decodeBundle } from "../../capabilities/webhook/bundle";
import { issueServingCertificate } from "../../capabilities/webhook/issue";
import { SERVER_NAME } from "../../capabilities/webhook/names";
import { readServing } from "../../capabilities/webhook/serving";
import { webhookRules } from "../../lib/domain/webhook";
import { comeToRest, peprWebhook, Watcher, World, type Deployed } from "../webhook/simulation";

const { genTLS } = jest.requireActual<{
  readonly genTLS: (name: string) => { pem: { ca: string; crt: string; key: string } };
}>("pepr/src/lib/tls");

jest.setTimeout(120_000);

const DAY_MS = 86_400_000;
const REPLICAS = 3;
const WATCHERS = 2;

/** What Pepr makes at a build. */
function pepr(): Deployed {
  const { pem } = genTLS(SERVER_NAME);
  return { caPem: pem.ca, leaf: { certificatePem: pem.crt, privateKeyPem: pem.key } };
}

const first = pepr();
const second = pepr();
const madeMs = Date.now() + 1_000;
/** Shortly before two thirds of Pepr's year are over. */
const almostDueMs = madeMs + 243 * DAY_MS;

type Happening =
  | { readonly kind: "look" | "act" | "die"; readonly watcher: number }
  | { readonly kind: "bring"; readonly replica: number }
  | { readonly kind: "pass"; readonly ms: number };

/** What others do, each by one write. */
type Foreign =
  | { readonly kind: "deploy"; readonly part: "configuration" | "secret" }
  | { readonly kind: "distrust" }
  | { readonly kind: "forget" }
  | { readonly kind: "spoil" };

const watcher = fc.nat({ max: WATCHERS - 1 });
const happening: fc.Arbitrary<Happening> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constantFrom("look", "act"), watcher }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("die"), watcher }) },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant("bring"), replica: fc.nat({ max: REPLICAS - 1 }) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("pass"),
      ms: fc.constantFrom(500, 3_000, 11_000, 130_000, DAY_MS, 25 * DAY_MS),
    }),
  },
) as fc.Arbitrary<Happening>;
const foreign: fc.Arbitrary<Foreign> = fc.oneof(
  fc.record({ kind: fc.constant("deploy"), part: fc.constantFrom("configuration", "secret") }),
  fc.constantFrom({ kind: "distrust" }, { kind: "forget" }, { kind: "spoil" }),
) as fc.Arbitrary<Foreign>;

async function happen(world: World, watchers: readonly Watcher[], event: Happening): Promise<void> {
  if (event.kind === "pass") world.nowMs += event.ms;
  else if (event.kind === "bring") world.bringTo(event.replica);
  else {
    const who = watchers[event.watcher];
    if (event.kind === "look") who?.look();
    else if (event.kind === "act") await who?.act();
    else who?.die();
  }
}

function interfere(world: World, event: Foreign): void {
  const { configuration, secret } = world;
  if (event.kind === "deploy" && event.part === "secret") world.writeSecret(secret, second.leaf);
  else if (event.kind === "spoil") {
    world.writeSecret(secret, { ...first.leaf, privateKeyPem: second.leaf.privateKeyPem });
  } else if (event.kind === "forget") {
    if (configuration.metadata.annotations === undefined) return;
    world.patch(configuration, [{ op: "remove", path: "/metadata/annotations" }]);
  } else if (event.kind === "distrust") {
    const path = "/webhooks/0/clientConfig/caBundle";
    world.patch(configuration, [{ op: "add", path, value: "" }]);
  } else {
    const value = peprWebhook(second.caPem);
    world.patch(configuration, [{ op: "replace", path: "/webhooks/0", value }]);
  }
}

function expectInLine(world: World): void {
  const { configuration, secret, replicas, nowMs } = world;
  const [webhook] = configuration.webhooks ?? [];
  const { chain, renewal } = readServing(secret, nowMs);
  expect(webhook).toMatchObject(webhookRules());
  expect(decodeBundle(webhook?.clientConfig.caBundle)).toHaveLength(1);
  expect(renewal.kind).toBe("later");
  expect(replicas.map(([leaf]) => leaf.sha256)).toEqual(
    Array.from({ length: REPLICAS }, () => chain?.[0].sha256),
  );
  // Whatever others wrote, API servers have heard of what was done about it.
  world.nowMs += 60_000;
  expect(world.refused()).toEqual([]);
}

function setUp(startMs: number): { readonly world: World; readonly watchers: readonly Watcher[] } {
  const world = new World(first, startMs, REPLICAS);
  return { world, watchers: Array.from({ length: WATCHERS }, () => new Watcher(world)) };
}

describe("fairlead's own webhook", () => {
  it("is accepted at every moment, whatever watchers are killed between which steps", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(happening, { minLength: 40, maxLength: 120 }), async (events) => {
        const { world, watchers } = setUp(almostDueMs);
        for (const event of events) {
          await happen(world, watchers, event);
          const nothingChanged = event.kind === "look" || event.kind === "die";
          expect(nothingChanged ? [] : world.refused()).toEqual([]);
        }
        await comeToRest(world, watchers);
        expectInLine(world);
      }),
      { numRuns: 20 },
    );
  });

  it("comes to rest whatever others write, without a fight", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.oneof({ weight: 4, arbitrary: happening }, { weight: 1, arbitrary: foreign })),
        async (events) => {
          const { world, watchers } = setUp(almostDueMs);
          for (const event of events) {
            if (event.kind === "deploy" || event.kind === "distrust") interfere(world, event);
            else if (event.kind === "forget" || event.kind === "spoil") interfere(world, event);
            else if (event.kind !== "bring" || canBeServed(world)) {
              await happen(world, watchers, event);
            }
          }
          const before = world.writes;
          await comeToRest(world, watchers);
          expectInLine(world);
          // Two watchers at once: each may stage a CA of its own, and each of those goes by a write.
          expect(world.writes - before).toBeLessThanOrEqual(10);
        },
      ),
      { numRuns: 30 },
    );
  });

  it("that is in line causes no write, however often it is looked at", async () => {
    const { world, watchers } = setUp(madeMs);
    await comeToRest(world, watchers);
    const { writes } = world;
    // Two thirds of the year that Pepr's certificate is valid.
    for (let day = 0; day < 240; day += 20) {
      world.nowMs += 20 * DAY_MS;
      await comeToRest(world, [new Watcher(world), ...watchers]);
    }
    expect(world.writes).toBe(writes);
  });
});

function canBeServed({ secret, nowMs }: World): boolean {
  return readServing(secret, nowMs).chain !== undefined;
}

describe("a serving certificate", () => {
  it.each([10_000, 60_000, 90 * DAY_MS])("valid for %d ms is not due before time", async (ms) => {
    const nowMs = Date.parse("2026-03-01T12:00:00.900Z");
    const made = await issueServingCertificate({
      dnsNames: [SERVER_NAME],
      nowMs,
      validityMs: ms,
    });
    const data = {
      "tls.crt": Buffer.from(made.certificate.pem).toString("base64"),
      "tls.key": Buffer.from(made.privateKeyPem).toString("base64"),
    };
    const secret = { apiVersion: "v1", kind: "Secret", metadata: { name: "x" }, data };
    const { renewal } = readServing(secret, nowMs);
    expect(renewal.kind === "later" && renewal.atMs - nowMs).toBeGreaterThan(ms / 2);
    expect(readServing(secret, nowMs + (ms * 3) / 4).renewal).toEqual({
      kind: "due",
      reason: "TwoThirdsOver",
    });
  });
});
