import {
  credentialsOf,
  destinationRuleOf,
  envoyFilterOf,
  gatewayOf,
  tunnelObjectsOf,
  tunnelPortsOf,
  virtualServiceOf,
  type Mode,
} from "../../../capabilities/exposure/resources";
import { clientCertificatesLua } from "../../../capabilities/exposure/filter/client-certificates.generated";
import { tunnelLua } from "../../../capabilities/exposure/filter/tunnel.generated";
import type { HostedAPIServer, InternalGateway, KubernetesObject } from "../../../lib/api";
import type { CaseAdapter, Given } from "../runner";

const ROUTE_SECRET = "0123456789abcdef0123456789abcdef";

function modeOf({ world }: Given, server: HostedAPIServer): Mode {
  const credentials = credentialsOf(server);
  if (world.mode !== "L7") return { kind: "L4", credentials };
  if (credentials === undefined) throw new Error("when.yaml: L7 needs status.credentials.");
  return { kind: "L7", credentials };
}

function runServer(given: Given, server: HostedAPIServer): unknown {
  const gateway = given.objects.find(({ kind }) => kind === "InternalGateway");
  const namespace = given.objects.find(
    ({ kind, metadata }) => kind === "Namespace" && metadata.name === server.metadata.namespace,
  );
  if (gateway === undefined || namespace === undefined) {
    throw new Error("given.yaml: the InternalGateway or the server's Namespace is missing.");
  }
  const exposure = {
    server,
    gateway: gateway as InternalGateway,
    namespaceUid: namespace.metadata.uid ?? "",
    mode: modeOf(given, server),
    trusted: given.world.trusted === true,
    routeSecret: ROUTE_SECRET,
    clusterDomain: (given.world.clusterDomain as string | undefined) ?? "cluster.local",
  };
  const ports = tunnelPortsOf(exposure.gateway);
  if (ports !== undefined && server.spec.tunnel !== undefined) {
    return tunnelObjectsOf({ exposure, ports, address: "127.7.7.7" });
  }
  return {
    gateway: gatewayOf(exposure),
    virtualService: virtualServiceOf(exposure),
    destinationRule: destinationRuleOf(exposure),
  };
}

/** The script is shown by its name; it has tests of its own. */
function withoutScript(value: unknown): unknown {
  const inJson = (script: string): string => JSON.stringify(script).slice(1, -1);
  return JSON.parse(
    JSON.stringify(value)
      .replaceAll(inJson(clientCertificatesLua), "(client-certificates.lua)")
      .replaceAll(inJson(tunnelLua), "(tunnel.lua)"),
  );
}

/**
 * `when.yaml` is the HostedAPIServer, with the credentials in its status, or the InternalGateway. The World says `mode`
 * (L4 by default), whether the route is `trusted` and the `clusterDomain`; the route secret is a fixed one. Where both
 * sides want a tunnel, its objects alone are shown, ending at 127.7.7.7.
 */
export const adapter: CaseAdapter = {
  capability: "exposure-resources",
  kinds: ["InternalGateway", "Namespace"],
  worldKeys: ["mode", "trusted", "clusterDomain"],
  run(given, when) {
    const subject = when as KubernetesObject;
    switch (subject.kind) {
      case "InternalGateway":
        return withoutScript(envoyFilterOf(subject as InternalGateway, ROUTE_SECRET));
      case "HostedAPIServer":
        return runServer(given, subject as HostedAPIServer);
      default:
        throw new Error("when.yaml: the subject is a HostedAPIServer or an InternalGateway.");
    }
  },
};
