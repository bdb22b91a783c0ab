import type {
  Condition,
  HostedAPIServer,
  InternalGateway,
  PartialObjectMetadata,
} from "../../../lib/api";
import type { Severity } from "../finding";

/** The object that a condition is about, and what is around it. */
export interface About {
  readonly condition: Condition;
  readonly namespace: string;
  readonly name: string;
}

/** A HostedAPIServer and what is around it. */
export interface AboutServer extends About {
  readonly server: HostedAPIServer;
  /** The InternalGateway that it names or is attached to, if it was seen. */
  readonly gateway: InternalGateway | undefined;
  /** All that were seen. */
  readonly gateways: readonly InternalGateway[];
  /** Of the control-plane namespace, if it was seen. */
  readonly metadata: PartialObjectMetadata | undefined;
}

/** An InternalGateway. */
export interface AboutGateway extends About {
  readonly gateway: InternalGateway;
}

/** What is to be said and done about a condition with a reason. */
export interface Remedy<T extends About> {
  /** Undefined: as it should be, whatever the status. */
  readonly severity: Exclude<Severity, "unseen"> | undefined;
  /** What the condition's own message does not say: a sentence, or nothing. */
  readonly explanation: string;
  /** What mends it. */
  readonly commands: (about: T) => readonly string[];
}

/** Condition type → reason → remedy. */
export type Remedies<T extends About> = Readonly<
  Record<string, Readonly<Record<string, Remedy<T>>>>
>;

/** As it should be. */
export const fine: Remedy<About> = { severity: undefined, explanation: "", commands: () => [] };

type Commands<T extends About> = Remedy<T>["commands"];

/** To be mended. @param explanation What the condition's own message does not say: a sentence, or nothing. */
export function bad<T extends About>(explanation: string, commands: Commands<T>): Remedy<T> {
  return { severity: "problem", explanation, commands };
}

/** To be known: it passes by itself, or what serves goes on serving. */
export function notable<T extends About>(explanation: string, commands: Commands<T>): Remedy<T> {
  return { severity: "warning", explanation, commands };
}
