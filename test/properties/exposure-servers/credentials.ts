import type { HostedAPIServer } from "../../../lib/api";
import { decideLoadBalancing } from "../../../lib/domain/load-balancing";
import { FINALIZER_CREDENTIALS } from "../../../lib/domain/names";
import { isHeld, sha256Of, storeServer, type ServerName, type World } from "./world";

type Status = NonNullable<HostedAPIServer["status"]>;

/** What credentials say of a HostedAPIServer: its acceptance, its gateway and its Secrets there. */
function statusOf(world: World, server: HostedAPIServer): Status {
  const { metadata, spec } = server;
  const name = metadata.name as ServerName;
  const { consent, gateway, credentials } = world.surroundings[name];
  const before = server.status ?? {};
  const isRefused = decideLoadBalancing(server, world.namespace.metadata).kind === "refused";
  const isAccepted = consent === "given" && !isRefused;
  const accepted = {
    type: "Accepted",
    status: isAccepted ? "True" : "False",
    reason: isAccepted ? "Accepted" : "Refused",
    message: "",
    observedGeneration: metadata.generation ?? 0,
    lastTransitionTime: "2026-11-21T12:00:00Z",
  } as const;
  const { gatewayRef: _ref, credentials: _copies, certificates: _seen, ...rest } = before;
  const others = (before.conditions ?? []).filter(({ type }) => type !== "Accepted");
  const conditions = [...others, accepted];
  if (consent === "withdrawn") return { ...rest, conditions };
  if (!isAccepted) return { ...before, conditions };
  const ref = { gatewayRef: { namespace: gateway, name: "default" } };
  if (spec.certificates?.server === undefined) return { ...rest, ...ref, conditions };
  const clientCA = spec.certificates.clientCA !== undefined;
  const version = `${credentials}${clientCA ? "-with-client-ca" : ""}`;
  const secret = `${name}-tls-${version}`;
  world.certificates.set(secret, sha256Of(world, name));
  return {
    ...rest,
    ...ref,
    conditions,
    credentials: { server: secret, proxyClient: `${name}-mtls-${version}` },
    certificates: [
      ...(clientCA ? [{ use: "clientCA" as const, sha256: "ca", notAfter: "" }] : []),
      { use: "server" as const, sha256: sha256Of(world, name), notAfter: "" },
    ],
  };
}

/** What the credentials controller does, at once. */
export function keepCredentials(world: World, name: ServerName): void {
  const server = world.servers.get(name);
  if (server === undefined) return;
  const { metadata } = server;
  if (metadata.deletionTimestamp === undefined) {
    storeServer(world, { ...server, status: statusOf(world, server) });
    return;
  }
  if (isHeld(server)) return;
  const finalizers = (metadata.finalizers ?? []).filter((each) => each !== FINALIZER_CREDENTIALS);
  storeServer(world, { ...server, metadata: { ...metadata, finalizers } });
}
