/** What HostedAPIServers need to know of their InternalGateway, besides the object itself. */
export interface GatewayFacts {
  /** Selects the trusted route; kept in a Secret of the gateway's namespace. Never to be logged. */
  readonly routeSecret: string;
  /** Whether the shared EnvoyFilter is there as it should be. */
  readonly filterInLine: boolean;
  /** IP addresses of the gateway's ready Pods, by the internal Service's EndpointSlices, sorted. */
  readonly podAddresses: readonly string[];
  /** Cluster IPs of the internal Service whose family has a ready endpoint, in the Service's order. */
  readonly serviceAddresses: readonly string[];
}

/**
 * What is known of an InternalGateway. "unseen": nobody has looked since this process started; undefined: not everything
 * is there, its Service or its route Secret.
 */
export type KnownFacts = GatewayFacts | "unseen" | undefined;

/** What is known of InternalGateways, by key. */
export interface GatewayFactsSource {
  of(key: string): KnownFacts;
  /** Calls back with the key of an InternalGateway whose facts changed. */
  onChange(listener: (key: string) => void): void;
}
