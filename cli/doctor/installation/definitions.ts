import semver from "semver";
import { customResourceDefinitions, type CustomResourceDefinition } from "../../../lib/api";
import { marked } from "../../../lib/cluster/install";
import { effectiveMinor, formatMinor } from "../../../lib/domain/kubernetes-version";
import { APPLY_MANIFEST, kubectl } from "../commands";
import { problem, unseen, warning, type Finding } from "../finding";
import { valueOf, type Observed, type ServedDefinition } from "../observed";

/** The oldest management cluster that fairlead is tested on. */
const FIRST_MINOR = 31;
const ANNOTATION_VERSION = "fairlead.dev/version";
const ANNOTATION_HASH = "fairlead.dev/schema-hash";

/** Pepr's own kind, without which its processes don't start. */
export const PEPR_STORE = "peprstores.pepr.dev";

const istioVersions: Readonly<Record<string, string>> = {
  "gateways.networking.istio.io": "v1",
  "virtualservices.networking.istio.io": "v1",
  "destinationrules.networking.istio.io": "v1",
  "envoyfilters.networking.istio.io": "v1alpha3",
};

/** The CustomResourceDefinitions that are looked at. */
export const definitionNames: readonly string[] = [
  ...customResourceDefinitions.map(({ metadata }) => metadata.name),
  PEPR_STORE,
  ...Object.keys(istioVersions),
];

/** The management cluster is new enough. */
export function checkKubernetes({ server }: Observed): readonly Finding[] {
  const minor = effectiveMinor(server);
  if (minor === undefined || minor >= FIRST_MINOR) return [];
  return [
    warning({
      subject: "Kubernetes",
      reason: "KubernetesTooOld",
      message: `The management cluster is at ${formatMinor(minor)}; fairlead is tested from ${formatMinor(FIRST_MINOR)} on, and Services are topology-aware only from there.`,
      commands: [kubectl("version")],
    }),
  ];
}

/** How a definition in the cluster stands to the one of this checkout. */
function compare(
  installed: ServedDefinition,
  wanted: CustomResourceDefinition,
  version: string,
): Finding | undefined {
  const { annotations = {} } = installed.metadata;
  const subject = `CustomResourceDefinition ${wanted.metadata.name}`;
  const isEstablished = installed.status?.conditions?.some(
    ({ type, status }) => type === "Established" && status === "True",
  );
  if (isEstablished !== true) {
    const message = "The API server does not serve it; its status says why.";
    const commands = [kubectl("describe", "crd", wanted.metadata.name), APPLY_MANIFEST];
    return problem({ subject, reason: "NotEstablished", message, commands });
  }
  const desired = marked(wanted, version).metadata.annotations ?? {};
  if (annotations[ANNOTATION_HASH] === desired[ANNOTATION_HASH]) return undefined;
  const there = semver.valid(annotations[ANNOTATION_VERSION]);
  if (there !== null && semver.gt(there, version)) {
    const message = `It is fairlead ${there}'s, and this checkout is at ${version}: take the doctor of that version.`;
    const commands = [`git checkout v${there} && npm ci`];
    return warning({ subject, reason: "DefinitionNewer", message, commands });
  }
  const whose = there === version ? `another build of ${there}` : `fairlead ${there ?? "unknown"}`;
  const message = `It is of ${whose}, and not as this checkout has it (${version}): fields may be missing.`;
  return problem({ subject, reason: "DefinitionOutdated", message, commands: [APPLY_MANIFEST] });
}

/** fairlead's own kinds, and Pepr's, are served as this version has them. */
export function checkDefinitions({ definitions, version }: Observed): readonly Finding[] {
  const wanted = new Map(customResourceDefinitions.map((each) => [each.metadata.name, each]));
  return [...wanted.keys(), PEPR_STORE].flatMap((name) => {
    const look = definitions.get(name);
    const subject = `CustomResourceDefinition ${name}`;
    if (look === undefined || look.kind === "absent") {
      const message =
        name === PEPR_STORE
          ? "It does not exist, and fairlead's processes don't start without it."
          : "It does not exist, so there can be none of its objects.";
      return [
        problem({ subject, reason: "DefinitionMissing", message, commands: [APPLY_MANIFEST] }),
      ];
    }
    if (look.kind === "unseen") return [unseen(subject, look.why)];
    const own = wanted.get(name);
    const found = own === undefined ? undefined : compare(look.value, own, version);
    return found === undefined ? [] : [found];
  });
}

/** Istio's kinds are served, where a gateway needs them. */
export function checkIstio({ definitions, gateways }: Observed): readonly Finding[] {
  const missing = Object.entries(istioVersions).flatMap(([name, version]) => {
    const look = definitions.get(name);
    if (look === undefined || look.kind === "unseen") return [];
    const served = valueOf(look)?.spec.versions.some(
      (each) => each.name === version && each.served,
    );
    return served === true ? [] : [`${name} ${version}`];
  });
  const refused = Object.keys(istioVersions).flatMap((name) => {
    const look = definitions.get(name);
    return look?.kind === "unseen" ? [look.why] : [];
  });
  const [why] = refused;
  const unseenFindings = why === undefined ? [] : [unseen("Istio's kinds", why)];
  if (missing.length === 0) return unseenFindings;
  const isNeeded = (valueOf(gateways)?.length ?? 0) > 0;
  const text = {
    subject: "Istio",
    reason: "IstioNotInstalled",
    message: `The cluster does not serve ${missing.join(", ")}: ${isNeeded ? "no gateway can be programmed" : "Pods and Services are looked after, and no gateway can be"}.`,
    commands: [
      "helm upgrade --install istio-base base --repo https://istio-release.storage.googleapis.com/charts -n istio-system --create-namespace",
    ],
  };
  return [isNeeded ? problem(text) : warning(text), ...unseenFindings];
}
