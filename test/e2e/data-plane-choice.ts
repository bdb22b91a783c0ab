/**
 * Tests of the data plane need programs of Istio and Envoy and a network namespace. `npm test` finds out whether this
 * machine has them, says so where it has not, and sets `FAIRLEAD_DATA_PLANE=skip`.
 */
export const describeDataPlane =
  process.env.FAIRLEAD_DATA_PLANE === "skip" ? describe.skip : describe;

/** Tests that wait for longer than anybody wants to for each change; `FAIRLEAD_LONG=1` runs them. */
export const describeLong = process.env.FAIRLEAD_LONG === "1" ? describeDataPlane : describe.skip;

/** Tests whose Pods run as processes; another user than one's own can be had by root alone. */
export const describeProcessNode = process.getuid?.() === 0 ? describeDataPlane : describe.skip;
