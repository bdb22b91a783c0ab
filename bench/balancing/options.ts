import { parseArgs } from "node:util";
import { ALGORITHMS, CHOSEN, isAlgorithmName, type AlgorithmName } from "./algorithms";
import type { Mode } from "./configuration";
import { SCENES, type SceneName } from "./scenes";

/** What is measured in one mode with one algorithm. */
export interface Subject {
  readonly mode: Mode;
  readonly algorithm: AlgorithmName;
}

/** The bench's options, parsed. */
export interface Options {
  readonly scene: SceneName;
  readonly subjects: readonly Subject[];
  readonly connections: readonly number[];
  /** In each measurement. */
  readonly requests: number;
  readonly watches: number;
  readonly runs: number;
  readonly gatewayPods: number;
  /** The API servers are dealt to so many zones; the gateway is in the first. */
  readonly zones: number;
  /** kube-apiserver's `--goaway-chance`. */
  readonly goawayChance: number;
  readonly output: "tables" | "json";
}

const MODES: readonly Mode[] = ["L7", "L4"];

/**
 * The options from the command line.
 * @throws {Error} that says what is allowed.
 */
export function parseOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      scene: { type: "string", default: "steady" },
      modes: { type: "string", default: "L7,L4" },
      algorithms: { type: "string", default: "chosen" },
      connections: { type: "string", default: "1,4,30" },
      requests: { type: "string", default: "20000" },
      watches: { type: "string", default: "60" },
      runs: { type: "string", default: "5" },
      "gateway-pods": { type: "string", default: "1" },
      zones: { type: "string", default: "1" },
      "goaway-chance": { type: "string", default: "0" },
      json: { type: "boolean", default: false },
    },
  });
  const number = (name: keyof typeof values, least = 1): number =>
    parseNumber(name, String(values[name]), least);
  return {
    scene: parseScene(values.scene),
    subjects: parseModes(values.modes).flatMap((mode) =>
      parseAlgorithms(values.algorithms, mode).map((algorithm) => ({ mode, algorithm })),
    ),
    connections: values.connections.split(",").map((text) => parseNumber("connections", text, 1)),
    requests: number("requests"),
    watches: number("watches", 0),
    runs: number("runs"),
    gatewayPods: number("gateway-pods"),
    zones: number("zones"),
    goawayChance: number("goaway-chance", 0),
    output: values.json ? "json" : "tables",
  };
}

function parseNumber(name: string, text: string, least: number): number {
  const value = Number(text);
  if (value >= least) return value;
  throw new Error(`--${name} is a number of at least ${least}, not ${text}`);
}

function parseScene(text: string): SceneName {
  if (Object.hasOwn(SCENES, text)) return text as SceneName;
  throw new Error(`--scene is one of ${Object.keys(SCENES).join(", ")}, not ${text}`);
}

function parseModes(text: string): readonly Mode[] {
  return text.split(",").map((name) => {
    const mode = MODES.find((known) => known === name);
    if (mode !== undefined) return mode;
    throw new Error(`--modes are ${MODES.join(", ")}, not ${name}`);
  });
}

function parseAlgorithms(text: string, mode: Mode): readonly AlgorithmName[] {
  if (text === "chosen") return [CHOSEN[mode]];
  const all = Object.keys(ALGORITHMS);
  return (text === "all" ? all : text.split(",")).map((name) => {
    if (isAlgorithmName(name)) return name;
    throw new Error(`--algorithms are chosen, all, ${all.join(", ")}, not ${name}`);
  });
}
