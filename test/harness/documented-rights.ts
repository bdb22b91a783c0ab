import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import type { EmbeddedCluster } from "../cluster";

/** Where rights hold that the page gives "in each gateway namespace", say. */
export interface Places {
  readonly gateways: readonly string[];
  /** Undefined: the default mode, in which all namespaces are meant. */
  readonly controlPlanes: readonly string[] | undefined;
}

const pagePath = resolve(__dirname, "../../docs/reference/rights.md");

const quoted = (text: string): string[] =>
  [...text.matchAll(/`([^`]+)`/g)].map(([, name = ""]) => name);

function isIn(place: string, namespace: string, { gateways, controlPlanes }: Places): boolean {
  if (place === "the whole cluster") return true;
  if (place === "the whole cluster, unless restricted") return controlPlanes === undefined;
  if (place === "each gateway namespace") return gateways.includes(namespace);
  const [own] = place.startsWith("Namespace ") ? quoted(place) : [];
  if (own !== undefined) return own === namespace;
  const [, restricted] = /^all namespaces; restricted: (.*)$/.exec(place) ?? [];
  if (restricted === undefined) throw new Error(`the page says where by other words: ${place}`);
  if (controlPlanes === undefined) return true;
  const isGateway = restricted.includes("gateway") && gateways.includes(namespace);
  return isGateway || controlPlanes.includes(namespace);
}

/** `verb resource.group name`, where `*` is any name; of URLs: `verb /path *`. */
function rightsOf(row: string): readonly string[] {
  const [, verbs = "", resources = "", names = ""] = row.split("|").map((cell) => cell.trim());
  const objects = names === "any" ? ["*"] : quoted(names);
  return verbs
    .split(", ")
    .flatMap((verb) =>
      quoted(resources).flatMap((resource) => objects.map((name) => `${verb} ${resource} ${name}`)),
    );
}

/** The rights of a ServiceAccount in a namespace, as docs/reference/rights.md has them; sorted. */
export function documentedRights(
  account: string,
  namespace: string,
  places: Places,
): readonly string[] {
  const sections = readFileSync(pagePath, "utf8").split(/^## /m).slice(1);
  const rights = sections.flatMap((section) => {
    const [, accounts = "", place = ""] = /^For (`.*`), in (.*)\.$/m.exec(section) ?? [];
    if (!quoted(accounts).includes(account) || !isIn(place, namespace, places)) return [];
    const [, , ...rows] = section.split("\n").filter((line) => line.startsWith("|"));
    return rows.flatMap(rightsOf);
  });
  return [...new Set(rights)].sort();
}

const ROW = /^(\S*)\s+\[(.*?)\]\s+\[(.*?)\]\s+\[(.*?)\]$/;

async function listRights(
  cluster: EmbeddedCluster,
  account: string,
  namespace: string,
): Promise<ReadonlySet<string>> {
  const as = `--as=system:serviceaccount:pepr-system:${account}`;
  const args = ["auth", "can-i", "--list", "--no-headers", as, `--namespace=${namespace}`];
  const { stdout, stderr, exitCode } = await cluster.kubectl(args);
  if (exitCode !== 0) throw new Error(stderr);
  const rights = stdout
    .trimEnd()
    .split("\n")
    .flatMap((line) => {
      const [, resource = "", urls = "", names = "", verbs = ""] = ROW.exec(line) ?? [];
      const [objects, what] = urls === "" ? [names, [resource]] : ["", urls.split(" ")];
      return verbs
        .split(" ")
        .flatMap((verb) =>
          what.flatMap((each) =>
            (objects === "" ? "*" : objects).split(" ").map((name) => `${verb} ${each} ${name}`),
          ),
        );
    });
  return new Set(rights);
}

/**
 * The rights of a ServiceAccount in a namespace, as `kubectl auth can-i --list` lists them; sorted. What every
 * ServiceAccount may do (ask who it is, read the API's description) is left out, but for what is documented.
 */
export async function listedRights(
  cluster: EmbeddedCluster,
  account: string,
  { namespace, documented }: { readonly namespace: string; readonly documented: readonly string[] },
): Promise<readonly string[]> {
  const [own, anybodys] = await Promise.all(
    [account, "nobody"].map(async (each) => listRights(cluster, each, namespace)),
  );
  const kept = [...(own ?? [])].filter(
    (right) => anybodys?.has(right) !== true || documented.includes(right),
  );
  return kept.sort();
}
