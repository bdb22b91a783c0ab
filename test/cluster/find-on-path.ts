import { access, constants } from "node:fs/promises";
import { delimiter, join } from "node:path";

/** The first executable file of a name on PATH. */
export async function findOnPath(name: string): Promise<string | undefined> {
  for (const directory of (process.env.PATH ?? "").split(delimiter)) {
    const path = join(directory, name);
    const isThere = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (directory !== "" && isThere) return path;
  }
  return undefined;
}
