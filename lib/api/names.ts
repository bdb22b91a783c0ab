/** The API group of fairlead's own kinds. */
export const GROUP = "fairlead.dev";
export const VERSION = "v1alpha1";
export const API_VERSION = `${GROUP}/${VERSION}`;

/** The default name of the internal Service in front of the gateway. */
export const INTERNAL_SERVICE = "istio-ingressgateway-internal";
/** The default port of the gateway's Pods, which the network policy label names. */
export const INTERNAL_TARGET_PORT = 9443;

/** Where the gateway's Pods take tunnels, unless an InternalGateway says otherwise. */
export const TUNNEL_PORT = 8132;
/** Where, on loopback addresses of the gateway's Pods, tunnels end; likewise. */
export const TUNNEL_LOOPBACK_PORT = 9444;
