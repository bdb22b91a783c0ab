/** Who sends how much of a load. */
export interface Shape {
  /** As figures call it. */
  readonly name: string;
  readonly connections: number;
  /** Indexes of connections, by which requests are dealt to them, over and over. */
  readonly turns: readonly number[];
  /** Requests that are under way at once, of all connections. */
  readonly inFlight: number;
}

const inFlightPerConnection = 4;

/** As many requests on each connection. */
export function evenly(connections: number): Shape {
  return {
    name: connections === 1 ? "1 connection" : `${connections} connections`,
    connections,
    turns: Array.from({ length: connections }, (_, index) => index),
    inFlight: inFlightPerConnection * connections,
  };
}

const quietControllers = Array.from({ length: 9 }, (_, index) => index + 1);

/**
 * Controllers of client-go, which have one HTTP/2 connection each: one sends four requests of five, as whoever reconciles
 * much does, and nine share the rest.
 */
export const CONTROLLERS: Shape = {
  name: "10 controllers, one of them with 80 % of the requests",
  connections: 1 + quietControllers.length,
  turns: quietControllers.flatMap((quiet) => [0, 0, 0, 0, quiet]),
  inFlight: 16,
};
