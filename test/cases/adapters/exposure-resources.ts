import {
  credentialsOf,
  destinationRuleOf,
  envoyFilterOf,
  gatewayOf,
  virtualServiceOf,
  type Mode,
} from "../../../capabilities/exposure/resources";
import { clientCertificatesLua } from "../../../capabilities/exposure/filter/client-certificates.generated";
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
  return {
    gateway: gatewayOf(exposure),
    virtualService: virtualServiceOf(exposure),
    destinationRule: destinationRuleOf(exposure),
  };
}

/** The script is shown by its name; it has tests of its own. */
function withoutScript(value: unknown): unknown {
  const text = JSON.stringify(value);
  return JSON.parse(
    text.replace(JSON.stringify(clientCertificatesLua).slice(1, -1), "(client-certificates.lua)"),
  );
}

/**
 * `when.yaml` is the HostedAPIServer, with the credentials in its status, or the InternalGateway. The World says `mode`
 * (L4 by default), whether the route is `trusted` and the `clusterDomain`; the route secret is a fixed one.
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
