import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { format, resolveConfig } from "prettier";

/**
 * Writes the Lua of the gateway's filters into TypeScript modules, since `pepr build` has no loader for it.
 * `--check` only tells whether it is up to date.
 */

const FOLDER = "capabilities/exposure/filter";

/** File → the constant that holds it. */
const SCRIPTS = { "client-certificates": "clientCertificatesLua", tunnel: "tunnelLua" } as const;

/**
 * The script without comments and indentation, which Envoys that are sent it have no use for. A line that begins with two dashes is a comment, as the script has no string that spans lines.
 */
function compact(source: string): readonly string[] {
  return source
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("--"));
}

async function embed(file: string, constant: string): Promise<void> {
  const [source, target] = [`${FOLDER}/${file}.lua`, `${FOLDER}/${file}.generated.ts`];
  const lines = compact(readFileSync(source, "utf8")).map((line) => `  ${JSON.stringify(line)},`);
  const text = [
    `/** ${source} without comments, by \`npx tsx scripts/embed-lua.ts\`. */`,
    `export const ${constant} = [`,
    ...lines,
    '].join("\\n");',
  ].join("\n");
  const options = await resolveConfig(target);
  const wanted = await format(text, { ...options, filepath: target });
  if (existsSync(target) && readFileSync(target, "utf8") === wanted) return;
  if (process.argv.includes("--check")) {
    console.error(`${target} is out of date: run npx tsx scripts/embed-lua.ts`);
    process.exitCode = 1;
  } else writeFileSync(target, wanted);
}

async function main(): Promise<void> {
  for (const [file, constant] of Object.entries(SCRIPTS)) await embed(file, constant);
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
