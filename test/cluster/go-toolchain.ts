import { execFile } from "node:child_process";
import { tmpdir } from "node:os";
import { promisify } from "node:util";
import { errorCode } from "./error-code";

/** Go is not there, or is older than what can fetch the toolchain that a module asks for. */
class GoMissingError extends Error {
  override readonly name = "GoMissingError";
}

// Since 1.21 Go downloads the toolchain that a go.mod names.
const oldestMinor = 21;

const advice =
  "Install Go 1.26 or newer (https://go.dev/dl), or set KUBEBUILDER_ASSETS to a directory with " +
  "etcd, kube-apiserver and kubectl (setup-envtest makes one).";

/**
 * Checks that the go command can build the programs.
 * @throws {GoMissingError} that says what to install.
 */
export async function requireGo(
  environment: Readonly<Record<string, string | undefined>>,
  programs: string,
): Promise<void> {
  const version = await goVersion(environment, programs);
  const minor = Number(/^go1\.(\d+)/.exec(version)?.[1] ?? Number.NaN);
  // Unreleased versions have other names ("devel …"); those are up to whoever uses them.
  if (Number.isNaN(minor) || minor >= oldestMinor) return;
  throw new GoMissingError(`Building ${programs} needs a newer Go than ${version}. ${advice}`);
}

async function goVersion(
  environment: Readonly<Record<string, string | undefined>>,
  programs: string,
): Promise<string> {
  try {
    // Outside of any module, whose go.mod could ask for another toolchain.
    const options = { env: environment as NodeJS.ProcessEnv, cwd: tmpdir() };
    const { stdout } = await promisify(execFile)("go", ["env", "GOVERSION"], options);
    return stdout.trim();
  } catch (error) {
    const isAbsent = errorCode(error) === "ENOENT";
    const problem = isAbsent ? "no `go` command was found on PATH" : "`go env` failed";
    throw new GoMissingError(`Building ${programs} needs Go, and ${problem}. ${advice}`, {
      cause: error,
    });
  }
}
