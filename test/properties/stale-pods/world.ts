import type { Observed, Route, Workload } from "../../../capabilities/stale-pods/observed";
import { isComplete } from "../../../capabilities/stale-pods/owners";
import { planStalePods, SETTLE_MS, type Plan } from "../../../capabilities/stale-pods/plan";
import { routeHash } from "../../../capabilities/stale-pods/route";
import type { HostedAPIServer, PodDisruptionBudget } from "../../../lib/api";
import { ANNOTATION_RESTARTED_FOR } from "../../../lib/domain/names";
import type { ExistingPod } from "../../../lib/domain/stale-pods";

// A namespace whose controllers replace Pods one by one, whose admission gives new Pods their aliases (or, for some
// owners, does not), and in which the watch process looks, acts, and is killed at any time.

const HOST = "api.tenant-a.example.com";
const namespace = "tenant-a";

/** It asks for restarts. */
export const server: HostedAPIServer = {
  apiVersion: "fairlead.dev/v1alpha1",
  kind: "HostedAPIServer",
  metadata: { namespace, name: "main", generation: 1 },
  spec: { kubernetesVersion: "1.34.2", hosts: [HOST], clients: { restartStalePods: true } },
};

/** An owner of Pods, as the course begins. */
export interface OwnerSpec {
  readonly kind: "Deployment" | "StatefulSet" | "DaemonSet";
  readonly pods: number;
  /** Its new Pods are stale again. */
  readonly stubborn: boolean;
  readonly paused: boolean;
  readonly hasBudget: boolean;
}

interface PlayedPod {
  readonly revision: number;
  readonly alias: string | undefined;
}

interface Owner extends OwnerSpec {
  readonly name: string;
  revision: number;
  annotation: string | undefined;
  played: PlayedPod[];
  allowed: number;
}

/** What happens. */
export type Step =
  | { readonly kind: "look" }
  | { readonly kind: "replace"; readonly owner: number }
  | { readonly kind: "budget"; readonly owner: number; readonly allowed: number }
  | { readonly kind: "kill" }
  | { readonly kind: "reroute"; readonly address: string }
  /** Somebody's tool takes foreign annotations away. */
  | { readonly kind: "prune"; readonly owner: number }
  | { readonly kind: "others-roll"; readonly owner: number };

/** The namespace, and the watch process in it. */
export class World {
  readonly owners: readonly Owner[];
  route: Route & { kind: "known" } = { kind: "known", hosts: [HOST], addresses: ["10.0.0.7"] };
  nowMs = 1_000_000;
  routeSinceMs = 0;
  restarted = new Set<string>();
  /** `owner route` → how often fairlead has restarted it since the process last started. */
  readonly restarts = new Map<string, number>();
  wasPruned = false;

  constructor(specs: readonly OwnerSpec[]) {
    this.owners = specs.map((spec, index) => ({
      ...spec,
      name: `owner-${index}`,
      revision: 1,
      annotation: undefined,
      played: Array.from({ length: spec.pods }, () => ({ revision: 1, alias: undefined })),
      allowed: 1,
    }));
  }

  #workload(owner: Owner): Workload {
    const { kind, name, revision, annotation, pods, played, paused } = owner;
    const updated = played.filter((pod) => pod.revision === revision).length;
    const metadata = {
      namespace,
      name,
      uid: name,
      generation: revision,
      resourceVersion: String(revision),
      annotations: annotation === undefined ? {} : { [ANNOTATION_RESTARTED_FOR]: annotation },
    };
    const template = { metadata: { labels: { app: name } } };
    const observedGeneration = revision;
    const apiVersion = "apps/v1";
    if (kind === "Deployment") {
      const counts = { replicas: pods, updatedReplicas: updated, availableReplicas: pods };
      const spec = { replicas: pods, paused, template };
      return { apiVersion, kind, metadata, spec, status: { observedGeneration, ...counts } };
    }
    if (kind === "StatefulSet") {
      const status = {
        observedGeneration,
        availableReplicas: pods,
        updateRevision: String(revision),
        currentRevision: String(updated === pods ? revision : revision - 1),
      };
      return { apiVersion, kind, metadata, spec: { replicas: pods, template }, status };
    }
    const status = {
      observedGeneration,
      desiredNumberScheduled: pods,
      updatedNumberScheduled: updated,
      numberAvailable: pods,
    };
    return { apiVersion, kind, metadata, spec: { template }, status };
  }

  #podsOf({ name, kind, played }: Owner): readonly ExistingPod[] {
    const isDeployment = kind === "Deployment";
    const reference = {
      apiVersion: "apps/v1",
      kind: isDeployment ? "ReplicaSet" : kind,
      name,
      uid: isDeployment ? `${name}-rs` : name,
      controller: true,
    };
    return played.map(({ alias }, index) => ({
      apiVersion: "v1",
      kind: "Pod",
      metadata: {
        namespace,
        name: `${name}-${index}`,
        labels: { app: name },
        ownerReferences: [reference],
      },
      spec: {
        volumes: [{ name: "kubeconfig", secret: { secretName: "generic-token-kubeconfig" } }],
        hostAliases: alias === undefined ? [] : [{ ip: alias, hostnames: [HOST] }],
      },
      status: { phase: "Running" },
    }));
  }

  observe(): Observed {
    const owners = this.owners.map((owner) => this.#workload(owner));
    const budgets = this.owners
      .filter(({ hasBudget }) => hasBudget)
      .map(
        ({ name, allowed }): PodDisruptionBudget => ({
          apiVersion: "policy/v1",
          kind: "PodDisruptionBudget",
          metadata: { namespace, name, generation: 1 },
          spec: { selector: { matchLabels: { app: name } } },
          status: { observedGeneration: 1, disruptionsAllowed: allowed },
        }),
      );
    const replicaSets = this.owners.map(({ name }) => ({
      apiVersion: "apps/v1",
      kind: "ReplicaSet",
      metadata: {
        namespace,
        name,
        uid: `${name}-rs`,
        ownerReferences: [
          { apiVersion: "apps/v1", kind: "Deployment", name, uid: name, controller: true },
        ],
      },
    }));
    return {
      servers: [server],
      route: this.route,
      pods: this.owners.flatMap((owner) => this.#podsOf(owner)),
      workloads: { owners, replicaSets, budgets },
      routeSinceMs: this.routeSinceMs,
      restarted: this.restarted,
      nowMs: this.nowMs,
    };
  }

  /** What the watch process does; the rules are checked at each restart. */
  look(): Plan {
    const observed = this.observe();
    const plan = planStalePods(observed);
    const { restart } = plan;
    if (restart.kind !== "roll") return plan;
    const owner = this.#find(restart.owner.metadata.name);
    const mid = (observed.workloads?.owners ?? []).filter(
      (each) =>
        each.metadata.annotations?.[ANNOTATION_RESTARTED_FOR] !== undefined && !isComplete(each),
    );
    expect(mid.map(({ metadata }) => metadata.name)).toEqual([]);
    expect(owner.hasBudget ? owner.allowed : 1).toBeGreaterThan(0);
    expect(owner.paused && owner.kind === "Deployment").toBe(false);
    expect(restart.pods.length).toBeGreaterThan(0);
    const hash = routeHash(this.route);
    const key = `${owner.name} ${hash}`;
    const times = (this.restarts.get(key) ?? 0) + 1;
    this.restarts.set(key, times);
    // With its annotation gone and the process killed, nobody can know.
    if (!this.wasPruned) expect([key, times]).toEqual([key, 1]);
    owner.revision += 1;
    owner.annotation = hash;
    this.restarted.add(restart.mark);
    return plan;
  }

  take(step: Step): void {
    this.nowMs += 1_000;
    switch (step.kind) {
      case "look":
        this.look();
        break;
      case "replace":
        this.#replaceOne(this.#at(step.owner));
        break;
      case "budget":
        this.#at(step.owner).allowed = step.allowed;
        break;
      case "kill":
        this.restarted = new Set();
        this.routeSinceMs = this.nowMs;
        break;
      case "reroute":
        if (this.route.addresses[0] === step.address) break;
        this.route = { ...this.route, addresses: [step.address] };
        this.routeSinceMs = this.nowMs;
        // Back to a route of before is another occasion.
        this.restarts.clear();
        for (const owner of this.owners) owner.annotation = undefined;
        this.restarted = new Set();
        break;
      case "prune":
        this.wasPruned = true;
        this.#at(step.owner).annotation = undefined;
        break;
      case "others-roll":
        this.#at(step.owner).revision += 1;
        break;
    }
  }

  /** Controllers go on until they are done, and budgets recover. */
  settle(): Plan {
    for (const owner of this.owners) owner.allowed = 1;
    this.nowMs += SETTLE_MS + 1_000;
    let plan = this.look();
    // An owner each, and a Pod each, and a look between any two.
    for (let round = 0; round < 200 && plan.restart.kind !== "rest"; round += 1) {
      for (const owner of this.owners) this.#replaceOne(owner);
      this.nowMs += 1_000;
      plan = this.look();
    }
    return plan;
  }

  #at(index: number): Owner {
    const owner = this.owners[index % this.owners.length];
    if (owner === undefined) throw new Error("there is no owner");
    return owner;
  }

  #find(name: string): Owner {
    return this.#at(this.owners.findIndex((owner) => owner.name === name));
  }

  #replaceOne(owner: Owner): void {
    if (owner.paused && owner.kind === "Deployment") return;
    const old = owner.played.findIndex(({ revision }) => revision !== owner.revision);
    if (old < 0) return;
    const alias = owner.stubborn ? undefined : this.route.addresses[0];
    owner.played[old] = { revision: owner.revision, alias };
  }
}
