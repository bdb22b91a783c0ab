/** Slow and large cases run on one version only. */
export const LARGE_CASES_VERSION = "1.34.4";

const defaultVersions = ["1.31.14", LARGE_CASES_VERSION, "1.36.3"];

/** The Kubernetes versions that end-to-end tests run on: `FAIRLEAD_K8S`, comma separated, or the default ones. */
export function kubernetesVersionsUnderTest(): string[] {
  const chosen = (process.env.FAIRLEAD_K8S ?? "")
    .split(",")
    .map((version) => version.trim())
    .filter((version) => version !== "");
  return chosen.length > 0 ? chosen : defaultVersions;
}
