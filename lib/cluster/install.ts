import { createHash } from "node:crypto";
import semver from "semver";
import type { CustomResourceDefinition } from "../api";
import { FIELD_MANAGERS, GROUP, LABEL_MANAGED_BY, MANAGED_BY } from "../domain/names";
import { refOf, type KubernetesClient } from "./client";
import type { Clock } from "./clock";
import type { Logger } from "./logger";

const ANNOTATION_VERSION = `${GROUP}/version`;
const ANNOTATION_SCHEMA_HASH = `${GROUP}/schema-hash`;
const ESTABLISHED_POLL_MS = 100;
const ESTABLISHED_LIMIT_MS = 30_000;

/** What an installation needs. */
export interface InstallContext {
  readonly client: KubernetesClient;
  readonly clock: Clock;
  readonly log: Logger;
  /** fairlead's own version (semver). */
  readonly version: string;
}

interface InstalledDefinition extends CustomResourceDefinition {
  readonly status?: { readonly conditions?: readonly { type: string; status: string }[] };
}

/** A definition as fairlead writes it: with its version, and a hash by which an equal one needs no write. */
export function marked(
  definition: CustomResourceDefinition,
  version: string,
): CustomResourceDefinition {
  const hash = createHash("sha256").update(JSON.stringify(definition.spec)).digest("hex");
  return {
    ...definition,
    metadata: {
      ...definition.metadata,
      labels: { [LABEL_MANAGED_BY]: MANAGED_BY },
      annotations: {
        [ANNOTATION_VERSION]: version,
        [ANNOTATION_SCHEMA_HASH]: hash.slice(0, 16),
      },
    },
  };
}

/** Whether `wanted` is to be written over `installed`: never an older schema over a newer one. */
export function needsInstall(
  installed: CustomResourceDefinition | undefined,
  wanted: CustomResourceDefinition,
): boolean {
  const now = installed?.metadata.annotations ?? {};
  const then = wanted.metadata.annotations ?? {};
  if (now[ANNOTATION_SCHEMA_HASH] === then[ANNOTATION_SCHEMA_HASH]) return false;
  const nowVersion = semver.valid(now[ANNOTATION_VERSION]);
  const thenVersion = semver.valid(then[ANNOTATION_VERSION]);
  return nowVersion === null || thenVersion === null || semver.gte(thenVersion, nowVersion);
}

const isEstablished = (definition: InstalledDefinition | undefined): boolean =>
  definition?.status?.conditions?.some(
    ({ type, status }) => type === "Established" && status === "True",
  ) ?? false;

async function install(
  context: InstallContext,
  definition: CustomResourceDefinition,
): Promise<void> {
  const { client, clock, log } = context;
  const wanted = marked(definition, context.version);
  const ref = refOf(wanted);
  const installed = await client.get<InstalledDefinition>(ref);
  if (needsInstall(installed, wanted)) {
    // Forced: the definition of fairlead's own kind is fairlead's, whoever applied an earlier one.
    await client.apply(wanted, { fieldManager: FIELD_MANAGERS.install, force: true });
    log.info({ name: ref.name }, "CustomResourceDefinition installed");
  }
  const limitMs = clock.nowMs() + ESTABLISHED_LIMIT_MS;
  let current = installed;
  while (!isEstablished(current)) {
    if (clock.nowMs() > limitMs) throw new Error(`${ref.name} was not established in time`);
    await new Promise<void>((resolve) => clock.after(ESTABLISHED_POLL_MS, resolve));
    current = await client.get<InstalledDefinition>(ref);
  }
}

/**
 * Installs or upgrades the CustomResourceDefinitions and waits until they are served. One that is there already costs
 * one read; two processes at once do no harm.
 */
export async function installDefinitions(
  context: InstallContext,
  definitions: readonly CustomResourceDefinition[],
): Promise<void> {
  for (const definition of definitions) await install(context, definition);
}
