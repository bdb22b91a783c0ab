import { Command, Option } from "commander";
import { connectTo, describeError, KubernetesClient } from "../lib/cluster";
import packageJson from "../package.json";
import { diagnose, exitCodeOf } from "./doctor/diagnose";
import { observe } from "./doctor/observe";
import { jsonReport, textReport } from "./doctor/report";

interface DoctorOptions {
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly namespace?: string;
  readonly output: "table" | "wide" | "json";
  readonly objectsOnly?: boolean;
  readonly color: boolean;
}

const CANNOT_LOOK = 2;

/** What is drawn in colour: a terminal that nobody has asked not to. @see https://no-color.org */
function wantsColor({ color }: DoctorOptions): boolean {
  const { NO_COLOR = "" } = process.env;
  return color && NO_COLOR === "" && process.stdout.isTTY;
}

async function doctor(options: DoctorOptions): Promise<void> {
  const { kubeconfig, context, namespace, output } = options;
  const client = new KubernetesClient(connectTo({ kubeconfig, context }));
  const observed = await observe({
    client,
    nowMs: Date.now(),
    version: packageJson.version,
    namespace,
    withInstallation: options.objectsOnly !== true,
  });
  const diagnosis = diagnose(observed);
  const text =
    output === "json"
      ? jsonReport(diagnosis, observed)
      : textReport(diagnosis, observed, {
          color: wantsColor(options),
          wide: output === "wide",
        });
  process.stdout.write(`${text}\n`);
  process.exitCode = exitCodeOf(diagnosis);
  client.connection.close();
}

function fail(error: unknown): void {
  process.stderr.write(`fairlead doctor could not look: ${describeError(error)}\n`);
  process.exitCode = CANNOT_LOOK;
}

function program(name: string): Command {
  const cli = new Command(name)
    .description("Looks after fairlead.")
    .version(packageJson.version)
    .exitOverride();
  cli
    .command("doctor")
    .description(
      "Checks an installation of fairlead and every InternalGateway and HostedAPIServer, and says what mends what it finds. It only reads.",
    )
    .option("--kubeconfig <file>", "the kubeconfig to use (default: as kubectl)")
    .option("--context <name>", "the context of the kubeconfig to use")
    .option(
      "-n, --namespace <name>",
      "only InternalGateways and HostedAPIServers of this namespace",
    )
    .addOption(
      new Option("-o, --output <format>", "how to report")
        .choices(["table", "wide", "json"])
        .default("table"),
    )
    .option("--objects-only", "leave the installation out, which not everybody may look at")
    .option("--no-color", "no colours (as with the environment variable NO_COLOR)")
    .addHelpText(
      "after",
      "\nExit code: 0 all is well, 1 problems were found, 2 something could not be looked at.",
    )
    .action(doctor);
  return cli;
}

/**
 * Runs the command line of this process.
 * @param name What the user has called.
 */
export async function main(name: string): Promise<void> {
  try {
    await program(name).parseAsync();
  } catch (error) {
    const { code, exitCode } = error as { readonly code?: string; readonly exitCode?: number };
    // What commander has to say it has said; a wrong command line is no finding.
    if (code?.startsWith("commander.") === true) {
      process.exitCode = exitCode === 0 ? 0 : CANNOT_LOOK;
    } else fail(error);
  }
}
