import type { Goal } from "./part";
import type { Row } from "./results";

const grouped = (value: number, decimals: number): string =>
  value.toLocaleString("en-US", {
    minimumFractionDigits: decimals,
    maximumFractionDigits: decimals,
  });

/** Units of which goals a hundredth from each other are set. */
const fineUnits = new Set(["ratio", "max/mean"]);

/** A number with as many digits as it is worth: about three, and three decimals for ratios. */
export function formatNumber(value: number, unit: string): string {
  const size = Math.abs(value);
  if (fineUnits.has(unit) && size < 100) return grouped(value, 3);
  if (Number.isInteger(value) || size >= 100) return grouped(value, 0);
  if (size >= 10) return grouped(value, 1);
  if (size >= 1) return grouped(value, 2);
  return String(Number(value.toPrecision(3)));
}

/** "1.034 [1.021, 1.049]", or the value alone where it is exact. */
export function formatEstimate({
  value,
  low,
  high,
  unit,
}: Pick<Row, "value" | "low" | "high" | "unit">): string {
  const text = formatNumber(value, unit);
  if (low === null || high === null) return text;
  return `${text} [${formatNumber(low, unit)}, ${formatNumber(high, unit)}]`;
}

/** "≤ 1.2", or nothing. */
export function formatGoal(goal: Goal | null): string {
  if (goal === null) return "";
  return "atMost" in goal
    ? `≤ ${goal.atMost.toLocaleString("en-US")}`
    : `≥ ${goal.atLeast.toLocaleString("en-US")}`;
}

/** "met", "MISSED", or nothing. */
export function formatMet(met: boolean | null): string {
  if (met === null) return "";
  return met ? "met" : "MISSED";
}
