import type { Clock, KubernetesClient, Logger, ServerChoice } from "../../lib/cluster";
import { describeError, isForbidden, isInvalid } from "../../lib/cluster";
import { FIELD_MANAGERS, LABEL_MANAGED_BY, MANAGED_BY } from "../../lib/domain/names";
import { isInForce, probeConfigMap } from "./in-force";
import type { Sight } from "./observed";
import type { PolicyVersion } from "./resources";

/** Where an API server listens. */
export interface ServerAddress {
  readonly address: string;
  readonly port: number;
}

/** What API servers are asked with. */
export interface ServersContext {
  readonly client: KubernetesClient;
  readonly clock: Clock;
  readonly log: Logger;
  /** Where the API servers listen themselves, as far as that is known. */
  readonly addresses: () => readonly ServerAddress[];
}

/** All: each at its own address, and some by new connections, among which a balancer chooses. One: any of them. */
export type Width = "all" | "one";

const GROUP = "admissionregistration.k8s.io";
const RESOURCES = ["mutatingadmissionpolicies", "mutatingadmissionpolicybindings"];
/** The first minors that serve a version at all: an API server that is older and was not asked does not. */
const FIRST_MINOR: Readonly<Record<PolicyVersion, number>> = { v1: 36, v1beta1: 34 };
/** Connections a look; more addresses than any cluster has. */
const CONNECTIONS = 3;
const MAX_ADDRESSES = 16;

function choicesFor(width: Width, addresses: readonly ServerAddress[]): readonly ServerChoice[] {
  if (width === "one") return [{}];
  const fresh = Array.from({ length: CONNECTIONS }, () => ({ fresh: true }));
  const direct = addresses
    .slice(0, MAX_ADDRESSES)
    .map(({ address: host, port }) => ({ address: { host, port } }));
  return [...fresh, ...direct];
}

/** Asks API servers what they serve, and whether they follow fairlead's policies. */
export class ApiServers {
  constructor(private readonly context: ServersContext) {}

  /**
   * The version of MutatingAdmissionPolicies that every API server serves which answers.
   * @param minor The lowest minor of them that counts, since not all may have been asked.
   * @returns undefined where one of them serves none.
   * @throws Error when none answers.
   */
  async served(minor: number, width: Width): Promise<PolicyVersion | undefined> {
    for (const version of ["v1", "v1beta1"] as const) {
      if (minor >= FIRST_MINOR[version] && (await this.#isServed(version, width))) return version;
    }
    return undefined;
  }

  /** Whether every API server that answers follows the policies by which that is seen, and knows the mark. */
  async look(mark: string, width: Width): Promise<Sight> {
    const answers = await this.#ask(width, async (choice) => this.#lookAt(mark, choice));
    if (answers.length === 0) return "unseen";
    return answers.every((each) => each) ? "inForce" : "notInForce";
  }

  async #isServed(version: PolicyVersion, width: Width): Promise<boolean> {
    const answers = await this.#ask(width, async (choice) => {
      const names = await this.context.client.resources(`${GROUP}/${version}`, choice);
      return RESOURCES.every((name) => names.includes(name));
    });
    if (answers.length === 0) throw new Error("no API server says which policies it serves");
    return answers.every((each) => each);
  }

  async #lookAt(mark: string, choice: ServerChoice): Promise<boolean> {
    const labels = { [LABEL_MANAGED_BY]: MANAGED_BY };
    try {
      const { client } = this.context;
      await client.tryToCreate(probeConfigMap(labels), FIELD_MANAGERS.policies, choice);
      return false;
    } catch (error) {
      if (isInvalid(error) || isForbidden(error)) return isInForce(describeError(error), mark);
      throw error;
    }
  }

  /** What those answer that do. */
  async #ask<T>(width: Width, ask: (choice: ServerChoice) => Promise<T>): Promise<readonly T[]> {
    const choices = choicesFor(width, this.context.addresses());
    const answers = await Promise.allSettled(choices.map(ask));
    return answers.flatMap((answer) => {
      if (answer.status === "fulfilled") return [answer.value];
      this.context.log.debug({ error: describeError(answer.reason) }, "an API server did not say");
      return [];
    });
  }
}
