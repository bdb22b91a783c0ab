import execa from "execa";

/** A check: what it is called, and the command that fails when it does not hold. */
interface Check {
  readonly name: string;
  readonly command: readonly [string, ...string[]];
}

const checks: readonly Check[] = [
  { name: "types", command: ["tsc", "--noEmit", "-p", "test/tsconfig.json"] },
  { name: "eslint", command: ["eslint", "--max-warnings", "0", "."] },
  { name: "prettier", command: ["prettier", "--check", "--log-level", "warn", "."] },
  {
    name: "dependency arrows",
    command: [
      "depcruise",
      ...["--config", ".dependency-cruiser.cjs", "pepr.ts", "capabilities", "lib", "cli"],
    ],
  },
  { name: "dead code", command: ["knip", "--no-progress"] },
  { name: "markdown", command: ["markdownlint-cli2"] },
  { name: "reference", command: ["tsx", "scripts/reference.ts", "--check"] },
  { name: "performance page", command: ["tsx", "bench/main.ts", "--report", "--check"] },
  { name: "embedded Lua", command: ["tsx", "scripts/embed-lua.ts", "--check"] },
  { name: "build and size", command: ["tsx", "scripts/build.ts"] },
];

async function main(): Promise<void> {
  const failed: string[] = [];
  for (const { name, command } of checks) {
    const startedMs = Date.now();
    const [program, ...args] = command;
    const result = await execa(program, args, { preferLocal: true, reject: false, all: true });
    const took = ((Date.now() - startedMs) / 1000).toFixed(1);
    console.log(`${result.exitCode === 0 ? "ok    " : "FAILED"} ${name} (${took} s)`);
    if (result.exitCode === 0) continue;
    failed.push(name);
    console.log(result.all);
  }
  if (failed.length > 0) {
    console.error(`failed: ${failed.join(", ")}`);
    process.exitCode = 1;
  }
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
