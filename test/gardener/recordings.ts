import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";

import type { Recording } from "./types";

/** Where the committed recordings are. */
export const recordingsFile = join(__dirname, "recordings.jsonl.gz");

/** Reads recordings, one a line, from a gzip file. */
export const readRecordings = (file = recordingsFile): readonly Recording[] =>
  gunzipSync(readFileSync(file))
    .toString("utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Recording);

/** Writes recordings as `readRecordings` reads them; the same recordings give the same bytes. */
export const writeRecordings = (file: string, recordings: readonly Recording[]): void => {
  const text = recordings.map((recording) => `${JSON.stringify(recording)}\n`).join("");
  writeFileSync(file, gzipSync(text, { level: 9 }));
};
