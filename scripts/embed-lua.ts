import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { format, resolveConfig } from "prettier";

/**
 * Writes the Lua of the gateway's filter into a TypeScript module, since `pepr build` has no loader for it.
 * `--check` only tells whether it is up to date.
 */

const SOURCE = "capabilities/exposure/filter/client-certificates.lua";
const TARGET = "capabilities/exposure/filter/client-certificates.generated.ts";

/**
 * The script without comments and indentation. istiod repeats it for every host of the gateway, so its length counts;
 * a line that begins with two dashes is a comment, as the script has no string that spans lines.
 */
function compact(source: string): readonly string[] {
  return source
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("--"));
}

async function main(): Promise<void> {
  const lines = compact(readFileSync(SOURCE, "utf8")).map((line) => `  ${JSON.stringify(line)},`);
  const text = [
    `/** ${SOURCE} without comments, by \`npx tsx scripts/embed-lua.ts\`. */`,
    "export const clientCertificatesLua = [",
    ...lines,
    '].join("\\n");',
  ].join("\n");
  const options = await resolveConfig(TARGET);
  const wanted = await format(text, { ...options, filepath: TARGET });
  if (existsSync(TARGET) && readFileSync(TARGET, "utf8") === wanted) return;
  if (process.argv.includes("--check")) {
    console.error(`${TARGET} is out of date: run npx tsx scripts/embed-lua.ts`);
    process.exitCode = 1;
  } else writeFileSync(TARGET, wanted);
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
