import { findPrograms } from "../cluster/binaries";
import { silentProgress } from "../cluster/progress";
import type { Stage } from "./stage";

/** Installs Istio's CustomResourceDefinitions, without istiod, and waits until they are served. */
export async function applyIstioDefinitions({ kubectl }: Pick<Stage, "kubectl">): Promise<void> {
  const { paths } = await findPrograms({
    programs: ["crd-all.gen.yaml"],
    progress: silentProgress,
  });
  const file = paths["crd-all.gen.yaml"] ?? "";
  await kubectl(["apply", "--server-side", "-f", file]);
  await kubectl(["wait", "--for=condition=Established", "--timeout=60s", "-f", file]);
}
