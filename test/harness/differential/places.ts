import type { AnyObject } from "../api";

/** Who decides in a namespace: the webhook alone, policies with what of the webhook stays beside them, or both at once. */
export const arms = ["webhook", "policies", "both"] as const;
/** One of them, which begins the names of its namespaces. */
export type Arm = (typeof arms)[number];

/** The label that tells in which arm a namespace is. */
export const ARM_LABEL = "differential.example.com/arm";

/** Stands for the arm in templates: `arm-12-a` is `webhook-12-a` in one and `policies-12-a` in the other. */
export function templateName(place: number, suffix: string): string {
  return `arm-${place}-${suffix}`;
}

/** An object of a template, in an arm. */
export function inArm<T>(template: T, arm: Arm): T {
  return JSON.parse(JSON.stringify(template).replaceAll(/\barm-(?=\d)/g, `${arm}-`)) as T;
}

/** What an arm answered, with the arm's name taken out. */
export function withoutArm<T>(answer: T): T {
  const text = JSON.stringify(answer);
  return JSON.parse(text.replaceAll(/\b(webhook|policies|both)-(?=\d)/g, "arm-")) as T;
}

/** Who sends a request. */
export interface Requester {
  /** Default: the administrator. */
  readonly username?: string;
  readonly fieldManager?: string;
}

/** An object that is created, or updated where `update` says so. */
export interface Question {
  /** For whoever reads of a difference. */
  readonly name: string;
  readonly object: AnyObject;
  readonly update: boolean;
  readonly requester: Requester;
}

/** A corner of the cluster, which exists once in each arm; all objects are templates. */
export interface Place {
  readonly namespaces: readonly string[];
  /** Gateways' Services and their namespaces, which all arms share. */
  readonly shared: readonly AnyObject[];
  /** What is there before anything decides: Services, and route ConfigMaps. */
  readonly before: readonly AnyObject[];
  readonly hostedAPIServers: readonly AnyObject[];
  readonly questions: readonly Question[];
}
