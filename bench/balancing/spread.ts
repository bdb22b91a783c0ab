/** What went to each API server, in the order of the replicas. */
export type PerServer = readonly number[];

/** Counts together. */
export function sumOf(counts: PerServer): number {
  return counts.reduce((sum, count) => sum + count, 0);
}

/** The highest count by the mean: 1 is even, the number of servers is all to one. 1 where there is nothing to spread. */
export function skewOf(counts: PerServer): number {
  const sum = sumOf(counts);
  return sum === 0 ? 1 : (Math.max(...counts) * counts.length) / sum;
}

/** What came between two readings of counters. */
export function difference(after: PerServer, before: PerServer): PerServer {
  return after.map((count, index) => count - (before[index] ?? 0));
}
