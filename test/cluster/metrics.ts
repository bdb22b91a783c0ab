/** One sample of a metric in Prometheus' text format. */
export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/**
 * The samples of one metric. Label values with escaped quotes are not split rightly; the metrics
 * that are read here have none.
 * @see https://prometheus.io/docs/instrumenting/exposition_formats/
 */
export function metricSamples(text: string, name: string): Sample[] {
  const samples: Sample[] = [];
  for (const line of text.split("\n")) {
    if (!line.startsWith(name)) continue;
    const match = /^([^{\s]+)(?:\{(.*)\})?\s+(\S+)/.exec(line);
    if (match?.[1] !== name) continue;
    const labels = Object.fromEntries(
      [...(match[2] ?? "").matchAll(/(\w+)="([^"]*)"/g)].map(([, key = "", value = ""]) => [
        key,
        value,
      ]),
    );
    samples.push({ labels, value: Number(match[3]) });
  }
  return samples;
}

/** The sum of a metric's samples, or of those that `isCounted`; 0 when there are none. */
export function metricSum(
  text: string,
  name: string,
  isCounted: (labels: Sample["labels"]) => boolean = () => true,
): number {
  return metricSamples(text, name)
    .filter(({ labels }) => isCounted(labels))
    .reduce((sum, { value }) => sum + value, 0);
}
