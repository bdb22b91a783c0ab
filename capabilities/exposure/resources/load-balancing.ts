import type { LoadBalancer, OutlierDetection } from "../../../lib/api";
import { LABEL_ZONE } from "../../../lib/domain/names";

/**
 * How a request finds its API server in L7. Each in turn, since LEAST_REQUEST counts open watches as requests: it sends
 * requests to where the fewest watches are, for minutes after an API server was restarted.
 * @see docs/adr/0009-round-robin-for-requests.md
 */
const REQUEST_ALGORITHM: LoadBalancer["simple"] = "ROUND_ROBIN";

/**
 * All API servers alike, wherever they are. It is said explicitly, since a `trafficDistribution` of the Service or the
 * mesh's settings would keep requests in one zone otherwise.
 */
export const REQUEST_LOAD_BALANCER: LoadBalancer = {
  simple: REQUEST_ALGORITHM,
  localityLbSetting: { enabled: false },
};

/**
 * The API servers of the gateway Pod's own zone, and those of others when there is none. A connection lasts, so it is
 * their number that has to be even, also after an API server was restarted and has none.
 */
export const CONNECTION_LOAD_BALANCER: LoadBalancer = {
  simple: "LEAST_REQUEST",
  localityLbSetting: { enabled: true, failoverPriority: [LABEL_ZONE] },
};

/**
 * Failing over to another zone needs it: three connections in a row that an API server did not take leave it out for
 * 15 s. All may be left out, and then all are used (below 1 % of health), so that nobody is cut off by it.
 */
export const CONNECTION_OUTLIER_DETECTION: OutlierDetection = {
  consecutive5xxErrors: 3,
  interval: "5s",
  baseEjectionTime: "15s",
  maxEjectionPercent: 100,
  minHealthPercent: 1,
};
