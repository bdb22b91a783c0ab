import type { ContainerSpec } from "./pod";

/** How a container is. */
export type ContainerState =
  | { readonly kind: "waiting"; readonly reason: string }
  | {
      readonly kind: "running";
      readonly isStarted: boolean;
      readonly isReady: boolean;
      readonly startedAt: string;
    }
  | { readonly kind: "terminated" };

interface ContainerStatus {
  readonly name: string;
  readonly ready: boolean;
  readonly started: boolean;
  readonly restartCount: number;
  readonly image: string;
  readonly imageID: string;
  readonly state: object;
}

/** An entry of `status.containerStatuses`. */
export function containerStatus(
  { name, image }: ContainerSpec,
  state: ContainerState,
  restartCount: number,
): ContainerStatus {
  const common = { name, image, imageID: image, restartCount };
  switch (state.kind) {
    case "running": {
      const { isReady: ready, isStarted: started, startedAt } = state;
      return { ...common, ready, started, state: { running: { startedAt } } };
    }
    case "waiting": {
      const waiting = { reason: "Waiting", message: state.reason };
      return { ...common, ready: false, started: false, state: { waiting } };
    }
    case "terminated":
      return {
        ...common,
        ready: false,
        started: false,
        state: { terminated: { exitCode: 0, reason: "Completed" } },
      };
  }
}

/** `status` of a Pod of one container. */
export function podStatus(podIP: string, container: ContainerStatus): object {
  const lastTransitionTime = new Date().toISOString();
  const condition = (type: string, isTrue: boolean): object => ({
    type,
    status: isTrue ? "True" : "False",
    lastTransitionTime,
  });
  const hasRun = "running" in container.state || container.restartCount > 0;
  return {
    phase: hasRun ? "Running" : "Pending",
    ...(podIP === "" ? {} : { podIP, podIPs: [{ ip: podIP }] }),
    containerStatuses: [container],
    conditions: [
      condition("PodScheduled", true),
      condition("Initialized", true),
      condition("ContainersReady", container.ready),
      condition("Ready", container.ready),
    ],
  };
}
