import type { HostedAPIServer } from "../../../lib/api";
import { keyOf } from "../../../lib/domain/keys";
import type { KubeconfigTarget } from "../resources/kubeconfig";
import { Claims } from "./claims";
import { problemOf, toState, type ClientsState, type Finding, type Waiting } from "./decide";
import { PodsRound, type PodsLook } from "./pods-round";
import { newSecret, SecretKeeper, type ClientsContext, type KnownSecret } from "./secret";

export type { ClientsProblem, ClientsReason, ClientsState } from "./decide";
export type { ClientsContext } from "./secret";

/** Where the kubeconfigs of a HostedAPIServer are to lead. */
export interface ClientsTarget {
  readonly server: HostedAPIServer;
  readonly target: KubeconfigTarget;
  /** L7: what running Pods must have: the host, aliased to one of these addresses. Undefined in L4. */
  readonly alias: { readonly host: string; readonly addresses: readonly string[] } | undefined;
}

interface KnownServer {
  readonly secrets: ReadonlyMap<string, KnownSecret>;
  /** Undefined unless stale Pods are in the way. */
  podsLook: PodsLook | undefined;
  /** What is in the way, and since when. */
  waiting: Waiting;
}

const CLAIM_RETRY_MS = 60_000;

/**
 * Keeps the kubeconfigs in HostedAPIServers' Secrets leading where they should. Level-based: `bring` may be called at
 * any time, never twice at once for one HostedAPIServer, and costs no request where nothing changed.
 */
export class KubeconfigSecrets {
  readonly #claims = new Claims();
  readonly #servers = new Map<string, KnownServer>();
  readonly #keeper: SecretKeeper;

  /** @param context The API server and what is known of it. */
  constructor(private readonly context: ClientsContext) {
    this.#keeper = new SecretKeeper(context);
  }

  /**
   * Writes what can be written, and says what can't.
   * @throws what a retry may mend, after everything else was tried: the API server can't be reached, say.
   */
  async bring(clients: ClientsTarget): Promise<ClientsState> {
    const known = this.#know(clients.server);
    const { target, alias } = clients;
    const pods = new PodsRound({
      client: this.context.client,
      namespace: clients.server.metadata.namespace ?? "",
      wanted: alias && { hosts: [alias.host], addresses: alias.addresses },
      nowMs: target.nowMs,
      last: known.podsLook,
    });
    const results = await Promise.allSettled(
      [...known.secrets].map(async ([name, secret]) => {
        const goal = { server: clients.server, name, target, pods };
        return this.#findOlderClaim(clients, name) ?? this.#keeper.bring(goal, secret);
      }),
    );
    const findings: Finding[] = [];
    for (const result of results) {
      if (result.status === "rejected") throw result.reason;
      findings.push(result.value);
    }
    const areBlocked = findings.some(({ problem }) => problem?.reason === "StalePods");
    known.podsLook = areBlocked ? pods.next() : undefined;
    const { state, waiting } = toState(findings, {
      target,
      waiting: known.waiting,
      podsDueMs: known.podsLook?.dueMs,
    });
    known.waiting = waiting;
    return state;
  }

  /** The keys of the HostedAPIServers that a Secret concerns, as far as they were brought in line. */
  keysOf(namespace: string, secretName: string): readonly string[] {
    return this.#claims.keysOf(namespace, secretName);
  }

  /** Forgets a HostedAPIServer that is gone. */
  forget(key: string): void {
    this.#claims.forget(key);
    this.#servers.delete(key);
  }

  #know(server: HostedAPIServer): KnownServer {
    const key = keyOf(server);
    const before = this.#servers.get(key);
    const names = this.#claims.note(server);
    const known = {
      secrets: new Map(names.map((name) => [name, before?.secrets.get(name) ?? newSecret()])),
      podsLook: before?.podsLook,
      waiting: before?.waiting ?? new Map<string, never>(),
    };
    this.#servers.set(key, known);
    return known;
  }

  #findOlderClaim({ server, target }: ClientsTarget, secret: string): Finding | undefined {
    const [owner] = this.#claims.keysOf(server.metadata.namespace ?? "", secret);
    if (owner === undefined || owner === keyOf(server)) return undefined;
    const message = `HostedAPIServer ${owner} is older and names it too.`;
    const problem = problemOf(secret, "ClaimedByOther", message);
    return { problem, untilMs: target.nowMs + CLAIM_RETRY_MS };
  }
}
