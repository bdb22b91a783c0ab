import { GROUP } from "../lib/api/names";
import { grants, seldomUsed, type Grant, type PolicyRule } from "./objects/rbac";

function placeOf({ scope }: Grant): string {
  switch (scope) {
    case "cluster":
      return "the whole cluster";
    case "policies":
      return "the whole cluster, unless restricted";
    case "gateways":
      return "each gateway namespace";
    case "control planes":
      return "all namespaces; restricted: each control-plane namespace";
    case "both":
      return "all namespaces; restricted: each gateway and control-plane namespace";
    default:
      return `Namespace \`${scope.namespace}\``;
  }
}

function resourcesOf({ apiGroups = [], resources = [], nonResourceURLs = [] }: PolicyRule): string {
  const [group = ""] = apiGroups;
  const names = resources.map((resource) => {
    const [kind = "", ...subresource] = resource.split("/");
    return [group === "" ? kind : `${kind}.${group}`, ...subresource].join("/");
  });
  return [...names, ...nonResourceURLs].map((name) => `\`${name}\``).join(", ");
}

function sectionOf(grant: Grant): string {
  const { name, processes, rights } = grant;
  const accounts = processes.map(({ serviceAccount }) => `\`${serviceAccount}\``).join(", ");
  return [
    `## ${name}`,
    "",
    `For ${accounts}, in ${placeOf(grant)}.`,
    "",
    "| Verbs | Resources | Names | For |",
    "| --- | --- | --- | --- |",
    ...rights.map(({ rule, why }) => {
      const names = (rule.resourceNames ?? []).map((each) => `\`${each}\``).join(", ");
      return `| ${rule.verbs.join(", ")} | ${resourcesOf(rule)} | ${names || "any"} | ${why} |`;
    }),
    "",
  ].join("\n");
}

/** The reference of fairlead's rights, in Markdown. */
export function rightsPage(): string {
  return [
    "# fairlead's rights",
    "",
    "Made from `deploy/objects/rbac.ts` by `npx tsx scripts/reference.ts`. What they mean and how they are narrowed further: [rbac.md](../rbac.md).",
    "",
    ...grants.map(sectionOf),
    "## Seldom used",
    "",
    "An end-to-end test takes a tenant through its life and finds every right in the API server's audit log but these, for which that life gives no occasion:",
    "",
    ...seldomUsed.map(
      ({ process, verb, resource, place, why }) =>
        `- ${process}: ${verb} \`${resource}\`${place === "*" ? "" : ` in \`${place}\``}: ${why}`,
    ),
    "",
    "## For users",
    "",
    `ClusterRoles \`fairlead-view\` and \`fairlead-edit\` are part of Kubernetes' \`view\`, \`edit\` and \`admin\`: who views a namespace sees its \`hostedapiservers.${GROUP}\` and \`internalgateways.${GROUP}\`, who edits it writes them. Their status is fairlead's.`,
    "",
  ].join("\n");
}
