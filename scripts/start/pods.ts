import type { Pod } from "./objects";

/** The part of a Pod that the story shows, without what the API server adds by itself. */
export function shownPod({ metadata, spec }: Pod): object {
  const { name, labels = {} } = metadata;
  const hostAliases = spec.hostAliases?.map(({ ip, hostnames }) => ({ ip, hostnames }));
  const [volume] = spec.volumes ?? [];
  return {
    metadata: { name, labels },
    spec: {
      ...(hostAliases === undefined ? {} : { hostAliases }),
      volumes: [{ name: volume?.name, projected: { sources: volume?.projected?.sources } }],
    },
  };
}

/** A Pod's host aliases as lines of a hosts file. */
export function aliasLines({ spec }: Pod): readonly string[] {
  return (spec.hostAliases ?? []).map(({ ip, hostnames }) => `${ip} ${hostnames.join(" ")}`);
}
