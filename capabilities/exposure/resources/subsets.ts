/**
 * The ways to the API servers of one Service. The first two are also what the shared EnvoyFilter knows the clusters of
 * hosted API servers by.
 */
export const SUBSETS = {
  /** The gateway shows its own certificate, so X-Remote-User counts: for validated client certificates alone. */
  trusted: "client-certificate",
  /** The gateway shows none: tokens, and anonymous requests. */
  untrusted: "no-client-certificate",
  /** TLS as the client sent it. */
  passthrough: "passthrough",
} as const;

/** The header by whose value the filter selects the trusted route. */
export const ROUTE_HEADER = "x-fairlead-client-certificate";
