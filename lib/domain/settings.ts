import { findHostProblem, isDNSLabel, splitList } from "./hosts";
import type { NamespaceScope } from "./namespace-scope";

/** fairlead's settings, as they are parsed once from the environment; times in milliseconds. */
export interface Settings {
  /** Port of the webhook's server, and of health and metrics. */
  readonly port: number;
  /** How long a superseded Secret stays after nothing refers to it any more. */
  readonly drainMs: number;
  /** How long what was given stays after consent was withdrawn. */
  readonly graceMs: number;
  /** How long reads must agree before a newer version of the management cluster counts. */
  readonly versionSettleMs: number;
  /** How often the management cluster's version is read. */
  readonly versionIntervalMs: number;
  /** How often everything is looked at again, from the caches. */
  readonly resyncMs: number;
  /** How long a watch may be overdue before the process counts as dead. */
  readonly watchGraceMs: number;
  /** The DNS domain of the cluster's Services, as istiod knows them. */
  readonly clusterDomain: string;
  /** How long a serving certificate that fairlead makes for its webhook is valid. */
  readonly webhookValidityMs: number;
  /** The restricted mode: the namespaces to work in. Undefined: all. */
  readonly scope?: NamespaceScope;
  /** By what Pods and Services are admitted: the cluster's own policies where it has them, or the webhook. */
  readonly admission: AdmissionSetting;
  /** From which level on Pepr's own lines are logged; fairlead's go by LOG_LEVEL. */
  readonly peprLogLevel: LogLevel;
}

const LOG_LEVELS = ["debug", "info", "warn", "error", "fatal", "silent"] as const;

/** A level of pino's. */
export type LogLevel = (typeof LOG_LEVELS)[number];

export const ADMISSION_SETTINGS = ["Auto", "Webhook", "Policy"] as const;

/** Auto: policies where the cluster serves MutatingAdmissionPolicies. Policy: the same, and it is said where it does not. */
export type AdmissionSetting = (typeof ADMISSION_SETTINGS)[number];

type Environment = Readonly<Record<string, string | undefined>>;

interface NumberSetting {
  readonly name: string;
  readonly fallback: number;
  readonly minimum: number;
  readonly maximum: number;
}

const DAY_SECONDS = 86_400;

function parseNumber(env: Environment, setting: NumberSetting): number {
  const text = env[setting.name]?.trim() ?? "";
  if (text === "") return setting.fallback;
  const value = Number(text);
  if (!Number.isFinite(value) || value < setting.minimum || value > setting.maximum) {
    throw new RangeError(
      `${setting.name} is ${text}; give a number from ${setting.minimum} to ${setting.maximum}`,
    );
  }
  return value;
}

function parseDomain(env: Environment, name: string, fallback: string): string {
  const text = env[name]?.trim() ?? "";
  if (text === "") return fallback;
  const problem = findHostProblem(text);
  if (problem === undefined) return text;
  throw new RangeError(`${name} is ${text}, which ${problem.problem}; ${problem.remedy}`);
}

function parseNamespaces(env: Environment, name: string): readonly string[] {
  const namespaces = splitList(env[name] ?? "");
  const wrong = namespaces.find((namespace) => !isDNSLabel(namespace));
  if (wrong === undefined) return [...namespaces].sort();
  throw new RangeError(
    `${name} holds ${wrong}, which is no namespace's name; give names, separated by commas`,
  );
}

/** By one list alone nothing could be served, and no list would mean all namespaces, which is not what was meant. */
function parseScope(env: Environment): { readonly scope?: NamespaceScope } {
  const names = ["FAIRLEAD_GATEWAY_NAMESPACES", "FAIRLEAD_CONTROL_PLANE_NAMESPACES"] as const;
  const [gateways, controlPlanes] = [
    parseNamespaces(env, names[0]),
    parseNamespaces(env, names[1]),
  ];
  if (gateways.length === 0 && controlPlanes.length === 0) return {};
  if (gateways.length > 0 && controlPlanes.length > 0)
    return { scope: { gateways, controlPlanes } };
  const [given, missing] = gateways.length > 0 ? names : [names[1], names[0]];
  throw new RangeError(
    `${given} is set and ${missing} is not; give both, to restrict fairlead to these namespaces, or neither`,
  );
}

interface ChoiceSetting<T extends string> {
  readonly name: string;
  readonly fallback: T;
  readonly choices: readonly T[];
}

function parseChoice<T extends string>(env: Environment, setting: ChoiceSetting<T>): T {
  const { name, fallback, choices } = setting;
  const text = env[name]?.trim() ?? "";
  if (text === "") return fallback;
  const chosen = choices.find((known) => known === text);
  if (chosen !== undefined) return chosen;
  throw new RangeError(`${name} is ${text}; give one of ${choices.join(", ")}`);
}

/** In a container each process has port 3000 to itself, and Pepr's probes look there. Beside it, the watch steps aside. */
function defaultPort(env: Environment): number {
  const isInCluster = env.KUBERNETES_SERVICE_HOST !== undefined;
  return env.PEPR_WATCH_MODE === "true" && !isInCluster ? 3001 : 3000;
}

/**
 * Parses the settings.
 * @param env The environment: `FAIRLEAD_PORT`, and times in seconds, `FAIRLEAD_…_SECONDS`.
 * @throws RangeError with a sentence that names the variable and what it may be.
 */
export function parseSettings(env: Environment): Settings {
  const ms = (name: string, fallbackSeconds: number, minimum = 0): number =>
    1_000 *
    parseNumber(env, { name, fallback: fallbackSeconds, minimum, maximum: 365 * DAY_SECONDS });
  return {
    port: parseNumber(env, {
      name: "FAIRLEAD_PORT",
      fallback: defaultPort(env),
      minimum: 1,
      maximum: 65_535,
    }),
    drainMs: ms("FAIRLEAD_DRAIN_SECONDS", 120),
    graceMs: ms("FAIRLEAD_GRACE_SECONDS", 300),
    versionSettleMs: ms("FAIRLEAD_VERSION_SETTLE_SECONDS", 600),
    versionIntervalMs: ms("FAIRLEAD_VERSION_INTERVAL_SECONDS", 60, 0.1),
    resyncMs: ms("FAIRLEAD_RESYNC_SECONDS", 600, 1),
    watchGraceMs: ms("FAIRLEAD_WATCH_GRACE_SECONDS", 120),
    clusterDomain: parseDomain(env, "FAIRLEAD_CLUSTER_DOMAIN", "cluster.local"),
    webhookValidityMs: ms("FAIRLEAD_WEBHOOK_VALIDITY_SECONDS", 90 * DAY_SECONDS, 10),
    ...parseScope(env),
    admission: parseChoice<AdmissionSetting>(env, {
      name: "FAIRLEAD_ADMISSION",
      fallback: "Auto",
      choices: ADMISSION_SETTINGS,
    }),
    peprLogLevel: parseChoice<LogLevel>(env, {
      name: "FAIRLEAD_PEPR_LOG_LEVEL",
      fallback: "warn",
      choices: LOG_LEVELS,
    }),
  };
}
