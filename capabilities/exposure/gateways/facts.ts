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

/** What is known of InternalGateways, by key. */
export interface GatewayFactsSource {
  /** Undefined as long as not everything is there: its Service, its route Secret, the caches. */
  of(key: string): GatewayFacts | undefined;
  /** Calls back with the key of an InternalGateway whose facts changed. */
  onChange(listener: (key: string) => void): void;
}
