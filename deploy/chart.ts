import { stringify } from "yaml";
import { partsOf, type Build, type Part } from "./objects";
import { fillIn, toManifest, toTemplate, type Entry, type Template } from "./template";
import { defaultValues, valuesSchema, valuesYaml, type ChartValues } from "./values";

/** What is installed with, in files. */
export interface Installation {
  /** For `kubectl apply -f`. */
  readonly manifest: string;
  /** Path in the chart → content. */
  readonly chart: Readonly<Record<string, string>>;
}

/** What the files are made from. */
export interface InstallationRequest extends Build {
  readonly description: string;
  /** The image of both processes. */
  readonly image: string;
}

/** The oldest Kubernetes that fairlead is tested with. */
const KUBE_VERSION = ">=1.31.0-0";

/** Users' objects would go with their kind: `helm uninstall` leaves it. */
function keepDefinitions(entry: Entry): Entry {
  if (entry.object.kind !== "CustomResourceDefinition") return entry;
  const metadata = entry.object.metadata as { annotations?: Readonly<Record<string, string>> };
  const annotations = { ...metadata.annotations, "helm.sh/resource-policy": "keep" };
  return { ...entry, object: { ...entry.object, metadata: { ...metadata, annotations } } };
}

function templateOf({ entries }: Part): string {
  return entries.map(keepDefinitions).map(toTemplate).join("");
}

function chartYaml({ version, description }: InstallationRequest): string {
  return stringify({
    apiVersion: "v2",
    name: "fairlead",
    description,
    type: "application",
    version,
    appVersion: version,
    kubeVersion: KUBE_VERSION,
  });
}

const notes = `fairlead runs in Namespace pepr-system. In a minute or two, once its serving certificate is made, both are up:

  kubectl -n pepr-system rollout status deployment/pepr-fairlead deployment/pepr-fairlead-watcher

Next: an InternalGateway in a gateway namespace, and a HostedAPIServer beside each control plane.
`;

/** The objects of an installation; without values, those of the plain manifest. */
export function manifestObjects(
  request: InstallationRequest,
  values: ChartValues = defaultValues(request.image),
): readonly Template[] {
  return partsOf(request).flatMap(({ entries }) => fillIn(entries, values));
}

/** The manifest and the chart. */
export function installationOf(request: InstallationRequest): Installation {
  const values = defaultValues(request.image);
  const templates = partsOf(request).map((part) => [
    `templates/${part.name}.yaml`,
    templateOf(part),
  ]);
  return {
    manifest: toManifest(manifestObjects(request)),
    chart: {
      "Chart.yaml": chartYaml(request),
      "values.yaml": valuesYaml(values),
      "values.schema.json": `${JSON.stringify(valuesSchema, null, 2)}\n`,
      "templates/NOTES.txt": notes,
      ...(Object.fromEntries(templates) as Record<string, string>),
    },
  };
}
