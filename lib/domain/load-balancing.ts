import type { HostedAPIServer, ObjectMeta } from "../api";
import { supportsL7 } from "./kubernetes-version";
import { ANNOTATION_DISABLE_ISTIO_TLS_TERMINATION, ANNOTATION_DISABLE_L7 } from "./names";

/** How a hosted API server is to be served, and why not in L7 if it is not. */
export type LoadBalancing =
  | { readonly kind: "L7" }
  | { readonly kind: "L4"; readonly reason: "Requested" | L7Obstacle; readonly message: string }
  | { readonly kind: "refused"; readonly reason: L7Obstacle; readonly message: string };

/** What stands in the way of L7. */
export type L7Obstacle = "UnsupportedVersion" | "CertificatesMissing" | "OptedOut";

interface Obstacle {
  readonly reason: L7Obstacle;
  readonly message: string;
}

const optOuts = [ANNOTATION_DISABLE_L7, ANNOTATION_DISABLE_ISTIO_TLS_TERMINATION];

function findOptOut(meta: ObjectMeta | undefined): string | undefined {
  return optOuts.find((annotation) => meta?.annotations?.[annotation] === "true");
}

function findObstacle(
  hapi: HostedAPIServer,
  namespace: ObjectMeta | undefined,
): Obstacle | undefined {
  const { kubernetesVersion, certificates } = hapi.spec;
  if (!supportsL7(kubernetesVersion)) {
    return {
      reason: "UnsupportedVersion",
      message: `L7 needs Kubernetes 1.31 or later, whose clients stream over WebSocket; kubernetesVersion is ${kubernetesVersion}.`,
    };
  }
  const own = findOptOut(hapi.metadata);
  const inherited = findOptOut(namespace);
  const annotation = own ?? inherited;
  if (annotation !== undefined) {
    const where = own === undefined ? "the Namespace" : "the HostedAPIServer";
    return {
      reason: "OptedOut",
      message: `L7 is turned off by annotation ${annotation} on ${where}.`,
    };
  }
  if (certificates?.server === undefined || certificates.serverCA === undefined) {
    return {
      reason: "CertificatesMissing",
      message: "L7 needs certificates.server and certificates.serverCA.",
    };
  }
  return undefined;
}

/**
 * Decides between L7 and L4. `Auto` is L7 where it can be, else L4 with the reason; `L7` that can't be is refused,
 * never a silent L4.
 * @param hapi The hosted API server.
 * @param namespace Metadata of its Namespace, whose annotations count too.
 */
export function decideLoadBalancing(
  hapi: HostedAPIServer,
  namespace: ObjectMeta | undefined,
): LoadBalancing {
  const wish = hapi.spec.loadBalancing ?? "Auto";
  if (wish === "L4") {
    return { kind: "L4", reason: "Requested", message: "loadBalancing is L4." };
  }
  const obstacle = findObstacle(hapi, namespace);
  if (obstacle === undefined) return { kind: "L7" };
  return { kind: wish === "Auto" ? "L4" : "refused", ...obstacle };
}
