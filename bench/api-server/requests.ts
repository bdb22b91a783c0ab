import type { HostedAPIServer, KubernetesObject } from "../../lib/api";
import { applyStatus, refOf, setFinalizer, type KubernetesClient } from "../../lib/cluster";
import { stampCondition } from "../../lib/domain/conditions";
import { FIELD_MANAGERS, type FieldManager } from "../../lib/domain/names";

/** A request that is sent when a control plane is new. */
export interface StartRequest {
  /** In figures, after "CPU of an API server, ". */
  readonly name: string;
  /** @returns The HostedAPIServer as it is afterwards. */
  readonly send: (client: KubernetesClient, server: HostedAPIServer) => Promise<HostedAPIServer>;
}

const patchBy =
  (fieldManager: FieldManager, types: readonly string[], message = "all is well") =>
  async (client: KubernetesClient, object: HostedAPIServer): Promise<HostedAPIServer> =>
    applyStatus(
      { client, fieldManager, object },
      {
        conditions: types.map((type) =>
          stampCondition(
            { type, status: "True", reason: type, message },
            {
              current: object.status?.conditions,
              generation: object.metadata.generation,
              nowMs: Date.now(),
            },
          ),
        ),
      },
    );

function eventAbout({ apiVersion, kind, metadata }: HostedAPIServer): KubernetesObject {
  const { namespace = "", name, uid } = metadata;
  const event = {
    apiVersion: "v1",
    kind: "Event",
    metadata: { name: `${name}.synced`, namespace },
    involvedObject: { apiVersion, kind, namespace, name, uid },
    type: "Normal",
    reason: "CredentialsSynced",
    message: "the gateway has the certificates",
    source: { component: "fairlead" },
    reportingComponent: "fairlead.dev/controller",
    reportingInstance: "fairlead",
  };
  return event;
}

/** As large as a certificate of ECDSA P-256 with its key. */
function secretOf({ metadata: { name, namespace = "" } }: HostedAPIServer): KubernetesObject {
  const stringData = { cert: "c".repeat(1_500), key: "k".repeat(250) };
  const secret = { apiVersion: "v1", kind: "Secret", metadata: { name, namespace }, stringData };
  return secret;
}

const finalizerBy =
  (fieldManager: FieldManager, finalizer: string) =>
  async (client: KubernetesClient, server: HostedAPIServer): Promise<HostedAPIServer> =>
    setFinalizer(client, server, { finalizer, present: true, fieldManager });

const credentials = ["Accepted", "ResolvedRefs", "CredentialsSynced"] as const;

/**
 * In the order in which they are sent, each to what the one before has left: a status patch costs more the more managers
 * the object has.
 */
export const START_REQUESTS: readonly StartRequest[] = [
  {
    name: "a HostedAPIServer created",
    // Its owner's request, not fairlead's: what follows begins with it.
    send: async (client, server) => client.create(server, FIELD_MANAGERS.install),
  },
  { name: "a finalizer", send: finalizerBy(FIELD_MANAGERS.credentials, "fairlead.dev/bench-1") },
  {
    name: "a status patch, of one manager",
    send: patchBy(FIELD_MANAGERS.credentials, credentials),
  },
  {
    name: "a status patch, of a second manager",
    send: patchBy(FIELD_MANAGERS.exposure, ["Programmed", "PassthroughUsable", "ClientsRouted"]),
  },
  {
    name: "a status patch, of a third manager",
    send: patchBy(FIELD_MANAGERS.services, ["TopologyAware"]),
  },
  { name: "a status patch, of a fourth manager", send: patchBy(FIELD_MANAGERS.status, ["Ready"]) },
  {
    name: "a status patch, of one of four managers, again",
    send: patchBy(FIELD_MANAGERS.credentials, credentials, "all is well again"),
  },
  {
    name: "a finalizer, beside four managers' status",
    send: finalizerBy(FIELD_MANAGERS.exposure, "fairlead.dev/bench-2"),
  },
  {
    name: "an Event created",
    send: async (client, server) => {
      await client.create(eventAbout(server), FIELD_MANAGERS.status);
      return server;
    },
  },
  {
    name: "a Secret created",
    send: async (client, server) => {
      await client.create(secretOf(server), FIELD_MANAGERS.credentials);
      return server;
    },
  },
  {
    name: "a Secret read",
    send: async (client, server) => {
      await client.get(refOf(secretOf(server)));
      return server;
    },
  },
];
