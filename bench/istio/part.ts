import { randomBytes } from "node:crypto";
import type { Part, PartContext } from "../framework/part";
import { interleave } from "../framework/statistics";
import { fairleadWay } from "./fairlead-way";
import { arrive, createFleet, dismiss, grow, welcome, type Fleet } from "./fleet";
import { gardenerWay } from "./gardener-way";
import { istioResult, SIDES, type SideName, type SizeResult } from "./results";
import { startSide, type Side } from "./side";

/** How much is measured. */
interface Plan {
  /** Numbers of control planes, from the smallest. */
  readonly sizes: readonly number[];
  readonly rounds: number;
}

const FULL: Plan = { sizes: [10, 100, 500], rounds: 12 };
const QUICK: Plan = { sizes: [10, 50], rounds: 2 };

type Sides = Readonly<Record<SideName, Side>>;

async function startSides({ progress }: PartContext): Promise<Sides> {
  const ours = await startSide(fairleadWay(randomBytes(16).toString("hex")), progress);
  try {
    return { fairlead: ours, "Gardener's way": await startSide(gardenerWay, progress) };
  } catch (error) {
    await ours.stop();
    throw error;
  }
}

/** Makes both sides serve so many control planes, and adds one more to each in turns. */
async function measureSize(
  sides: Sides,
  fleet: Fleet,
  size: { readonly from: number; readonly to: number; readonly rounds: number },
): Promise<SizeResult> {
  const newcomers = await Promise.all(
    Array.from({ length: size.rounds }, async (_, round) =>
      fleet.newcomer(`newcomer-${size.to}-${round}`),
    ),
  );
  for (const name of SIDES) await grow(sides[name], fleet, size);
  // Without newcomers' Services, of which the two ways have different numbers.
  const holdings = {
    fairlead: await sides.fairlead.holdings(),
    "Gardener's way": await sides["Gardener's way"].holdings(),
  };
  for (const name of SIDES) await welcome(sides[name], newcomers);
  const arriveAt = (name: SideName) => async (round: number) => {
    const newcomer = newcomers[round];
    if (newcomer === undefined) throw new Error(`there is no newcomer ${round}`);
    return arrive(sides[name], newcomer, fleet.caPem);
  };
  const rounds = await interleave({
    rounds: size.rounds,
    variants: { fairlead: arriveAt("fairlead"), "Gardener's way": arriveAt("Gardener's way") },
  });
  for (const name of SIDES) await dismiss(sides[name], newcomers);
  return { controlPlanes: size.to, rounds, holdings };
}

async function measureAll(context: PartContext, sides: Sides): Promise<readonly SizeResult[]> {
  const { sizes, rounds } = context.quick ? QUICK : FULL;
  const fleet = await createFleet();
  const results: SizeResult[] = [];
  let from = 0;
  for (const to of sizes) {
    const step = context.progress.step(`a new host beside ${to} control planes`);
    const result = await measureSize(sides, fleet, { from, to, rounds });
    step.done();
    results.push(result);
    from = to;
  }
  return results;
}

/** What istiod and the gateway do for many control planes: one shared EnvoyFilter against one each. */
export const part: Part = {
  name: "istio",
  title: "istiod and Envoy",
  async run(context) {
    const sides = await startSides(context);
    try {
      const result = istioResult(await measureAll(context, sides));
      for (const { name, unit, value } of result.figures) {
        if (unit === "ratio") context.say(`${name}: ${value.toFixed(2)}`);
      }
      return result;
    } finally {
      await Promise.all(Object.values(sides).map(async (side) => side.stop()));
    }
  },
};
