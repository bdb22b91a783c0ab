import type {
  DestinationRule,
  Gateway,
  HostedAPIServer,
  InternalGateway,
  NetworkPolicy,
  PartialObjectMetadata,
  ServiceEntry,
  TunnelGateway,
  TunnelVirtualService,
  VirtualService,
} from "../../../lib/api";
import type { ServiceObject } from "../../../lib/cluster";
import type { Certificate } from "../../../lib/domain/certificates";
import type { ConfigMap } from "../../../lib/domain/route-config";
import type { ClientsState } from "../clients";
import type { KnownFacts } from "../gateways/facts";

/** What fairlead made for one HostedAPIServer, wherever it is. */
export interface OwnObjects {
  readonly gateways: readonly Gateway[];
  readonly virtualServices: readonly VirtualService[];
  readonly destinationRules: readonly DestinationRule[];
  readonly networkPolicies: readonly NetworkPolicy[];
}

/** What fairlead made for the tunnel of one HostedAPIServer, wherever it is. */
export interface OwnTunnel {
  readonly gateways: readonly TunnelGateway[];
  readonly virtualServices: readonly TunnelVirtualService[];
  readonly serviceEntries: readonly ServiceEntry[];
}

/** What is known of tunnels. */
export interface ObservedTunnel {
  readonly own: OwnTunnel;
  /** The ServiceEntries of the tunnels of others. */
  readonly others: readonly ServiceEntry[];
  readonly sightings: GatewaySightings | undefined;
}

/** What was seen of one check of the gateway. */
export interface GatewaySightings {
  /** Which check this was: `checkOf`. */
  readonly check: string;
  /** Addresses (`ip:port`) → what is wrong there, as the end of a sentence; undefined: all is as it should be. */
  readonly verdicts: ReadonlyMap<string, string | undefined>;
  /** When the whole check was last begun anew. */
  readonly completeAtMs: number;
  /** The certificates that were served where all was as it should be, the leaf first. */
  readonly chain: readonly Certificate[];
  /** Since when this check fails somewhere; undefined while it does not. */
  readonly failingSinceMs: number | undefined;
}

/** What the API servers themselves were seen to serve, at their Service. */
export interface DirectSighting {
  /** Which look this was: `directLookOf`. */
  readonly look: string;
  readonly seenAtMs: number;
  /** Hosts that the API servers' own certificate does not cover; undefined where nothing was seen. */
  readonly uncoveredHosts: readonly string[] | undefined;
  /** What is served by the Service's own name, the leaf first; empty where nothing was seen. */
  readonly chain: readonly Certificate[];
  /** Why nothing was seen, as the end of a sentence. */
  readonly problem: string | undefined;
}

/** Where kubeconfigs lead: the state of their Secrets, and for which mode they were brought in line. */
export interface ClientsSighting {
  readonly mode: "L7" | "L4";
  readonly state: ClientsState;
}

/** All that a plan for one HostedAPIServer is made from. */
export interface ObservedServer {
  readonly server: HostedAPIServer;
  /** Of the control-plane namespace; undefined where it is gone. */
  readonly namespace: PartialObjectMetadata | undefined;
  /** The one that status.gatewayRef names, if it exists. */
  readonly gateway: InternalGateway | undefined;
  readonly facts: KnownFacts;
  /** Whether the shared filter was seen at work on this gateway, by whichever host. */
  readonly filterVerified: boolean;
  readonly own: OwnObjects;
  /** Undefined: nothing is known of tunnels, nor wanted. */
  readonly tunnel?: ObservedTunnel;
  /** The hosted API server's Service. */
  readonly service: ServiceObject | undefined;
  /** All NetworkPolicies of the control-plane namespace and of the gateway's. */
  readonly policies: readonly NetworkPolicy[];
  readonly routeConfigMap: ConfigMap | undefined;
  /** All HostedAPIServers of the namespace, this one included. */
  readonly neighbours: readonly HostedAPIServer[];
  readonly sightings: GatewaySightings | undefined;
  readonly direct: DirectSighting | undefined;
  readonly clients: ClientsSighting | undefined;
  /** Running Pods of the namespace that are aliased to the gateway; undefined as long as nobody looked. */
  readonly routedPods: number | undefined;
  readonly clusterDomain: string;
  readonly nowMs: number;
}
