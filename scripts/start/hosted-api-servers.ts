import type { HostedAPIServer } from "../../lib/api";
import { findStatus } from "./conditions";

/** Names a HostedAPIServer of the story, which is called as its namespace is. */
export function refOf(tenant: string) {
  const apiVersion = "fairlead.dev/v1alpha1";
  return { apiVersion, kind: "HostedAPIServer", namespace: tenant, name: tenant };
}

/** Whether it is Ready as it is now, and not as it was before its last change. */
export function isReady(hapi: HostedAPIServer): boolean {
  const { conditions = [] } = hapi.status ?? {};
  const ready = conditions.find(({ type }) => type === "Ready");
  return (
    findStatus(hapi, "Ready") === "True" && ready?.observedGeneration === hapi.metadata.generation
  );
}
