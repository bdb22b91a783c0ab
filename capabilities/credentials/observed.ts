import type { HostedAPIServer, PartialObjectMetadata } from "../../lib/api";
import type { Acceptance } from "./accept";
import type { Resolution } from "./resolve";
import { isOwn, type Use } from "./secrets";
import type { Secret } from "./sources";

/** Times that an operator may set, in milliseconds. */
export interface CredentialsSettings {
  /** How long a superseded Secret stays: longer than the gateway drains connections. */
  readonly drainMs: number;
  /** How long what was given stays after consent was withdrawn. */
  readonly graceMs: number;
  /** How long an issued proxy client certificate lives; it is renewed at half of that. */
  readonly lifetimeMs: number;
  /** How far an issued certificate's validity starts back, for clocks that differ. */
  readonly clockSkewMs: number;
}

/** Two minutes to drain, five of grace, 30 days of life, five minutes of skew. */
export const DEFAULT_SETTINGS: CredentialsSettings = {
  drainMs: 120_000,
  graceMs: 300_000,
  lifetimeMs: 30 * 24 * 3_600_000,
  clockSkewMs: 300_000,
};

/** A Secret as it is known: whole where it was read, else by its metadata. */
export type ObservedSecret = Secret | PartialObjectMetadata;

/** Everything that a plan is made from. */
export interface Observed {
  readonly nowMs: number;
  readonly hapi: HostedAPIServer;
  readonly acceptance: Acceptance;
  readonly resolution: Resolution;
  /** The control-plane Namespace. */
  readonly namespace: PartialObjectMetadata | undefined;
  /** Looks up any other Namespace: the gateway's. */
  readonly namespaceNamed: (name: string) => PartialObjectMetadata | undefined;
  /** The Secrets with this HostedAPIServer's labels, and any that have the name of one that is to be made. */
  readonly secrets: readonly ObservedSecret[];
  /** `namespace/name` of the Secrets that a Gateway or DestinationRule of fairlead's refers to. */
  readonly references: ReadonlySet<string>;
  readonly settings: CredentialsSettings;
}

/** Whether a Secret is fairlead's own for this HostedAPIServer. */
export function isOwnSecret(secret: ObservedSecret, { hapi, namespace }: Observed): boolean {
  return isOwn(secret, { hapi, namespace: namespace?.metadata });
}

/** The Secret of a name; undefined when there is none. */
export function findSecret(
  observed: Observed,
  namespace: string,
  name: string,
): ObservedSecret | undefined {
  return observed.secrets.find(
    ({ metadata }) => metadata.namespace === namespace && metadata.name === name,
  );
}

/** A Secret with its content; undefined where only metadata is known. */
export function withContent(secret: ObservedSecret | undefined): Secret | undefined {
  return secret !== undefined && "type" in secret ? secret : undefined;
}

/** The field of `status.credentials` for a use. */
export const CREDENTIAL_FIELDS = { server: "server", "proxy-client": "proxyClient" } as const;

/** The current Secret's name for a use, by status. */
export function currentName(hapi: HostedAPIServer, use: Use): string | undefined {
  return hapi.status?.credentials?.[CREDENTIAL_FIELDS[use]];
}
