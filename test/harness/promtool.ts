import { findPrograms } from "../cluster/binaries";
import { silentProgress } from "../cluster/progress";
import { runCommand, type CommandResult } from "../cluster/run-command";

/** Runs Prometheus' own checker of rules and metrics. @param input Given to its standard input. */
export async function promtool(args: readonly string[], input?: string): Promise<CommandResult> {
  const { paths } = await findPrograms({ programs: ["promtool"], progress: silentProgress });
  return runCommand([paths.promtool ?? "promtool", ...args], { input });
}
