import type { KubernetesObject } from "../../lib/api";
import type { Certificate } from "../../lib/domain/certificates";
import type { WebhookRules } from "../../lib/domain/webhook";

/** A webhook of a MutatingWebhookConfiguration; only what is looked at is typed. */
export interface LiveWebhook {
  readonly [field: string]: unknown;
  readonly name: string;
  readonly clientConfig: {
    /** PEM certificates, in base64. */
    readonly caBundle?: string;
    readonly service?: { readonly name: string; readonly namespace: string };
    readonly url?: string;
  };
}

/** fairlead's MutatingWebhookConfiguration as it is. */
export interface WebhookConfiguration extends KubernetesObject {
  readonly webhooks?: readonly LiveWebhook[];
}

/** The Secret with the serving certificate, as it is on the wire. */
export interface ServingSecret extends KubernetesObject {
  /** In base64. */
  readonly data?: Readonly<Record<string, string>>;
}

/** An address that the webhook's Service leads to. */
export interface ReplicaAddress {
  /** An IP address. */
  readonly address: string;
  readonly port: number;
}

/** An admission replica that is ready, and what it was seen to serve. */
export interface Replica extends ReplicaAddress {
  /** The leaf first; undefined where TLS could not be had. */
  readonly chain: readonly Certificate[] | undefined;
}

/** A serving certificate that was made and is not in the Secret yet. */
export interface Candidate {
  readonly authority: Certificate;
  readonly certificate: Certificate;
  /** PKCS #8; goes into the Secret and nowhere else. */
  readonly privateKeyPem: string;
}

/** Times in milliseconds. */
export interface WebhookSettings {
  /** How long a serving certificate that fairlead makes is valid. */
  readonly validityMs: number;
  /** How long a CA stays after no replica needs it any more. */
  readonly drainMs: number;
  /** How long every API server has to hear of a new CA before something is served that needs it. */
  readonly propagationMs: number;
  readonly clusterDomain: string;
}

/** What a look at the cluster brought. */
export interface Observed {
  readonly nowMs: number;
  readonly configuration: WebhookConfiguration;
  /** How the webhook is to be; undefined: as it is, for now. */
  readonly desired: WebhookRules | undefined;
  /** Undefined: there is none, so certificates are somebody else's business. */
  readonly secret: ServingSecret | undefined;
  readonly replicas: readonly Replica[];
  readonly settings: WebhookSettings;
}

/** What one watcher keeps from look to look. To lose it costs time and nothing else. */
export interface Memory {
  readonly candidate?: Candidate;
  /** Since when the candidate's CA is in the configuration. */
  readonly stagedSinceMs?: number;
  /** Since when a CA, by its SHA-256, is needed by nobody. */
  readonly unneededSinceMs: ReadonlyMap<string, number>;
  readonly mends: readonly Mend[];
}

/** Fields that were set. */
export interface Mend {
  /** Which, and to what. */
  readonly what: string;
  readonly atMs: number;
}

/** What is remembered at the start. */
export const NOTHING_REMEMBERED: Memory = { unneededSinceMs: new Map(), mends: [] };
