import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { clientScript } from "./stay-up";

describe("the program of a client", () => {
  let directory: string;

  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), "fairlead-stay-up-"));
  });

  afterAll(() => {
    rmSync(directory, { recursive: true, force: true });
  });

  test("runs its arguments behind the prefix, with the tenant's kubeconfig and kubectl", () => {
    const path = join(directory, "tenant-a");
    const prefix = ["env", "PLACE=it's the Pod"];
    const options = { prefix, kubeconfigPath: "/a b/kubeconfig", kubectlPath: "/bin of/kubectl" };
    writeFileSync(path, clientScript(options), { mode: 0o755 });
    const script = 'printf "%s\\n" "$PLACE" "$KUBECONFIG" "${PATH%%:*}" "$1"';
    const output = execFileSync(path, ["sh", "-c", script, "sh", "two words"], {
      encoding: "utf8",
    });
    expect(output.trimEnd().split("\n")).toEqual([
      "it's the Pod",
      "/a b/kubeconfig",
      "/bin of",
      "two words",
    ]);
  });
});
