/**
 * Tests of the data plane need programs of Istio and Envoy and a network namespace. `npm test` finds out whether this
 * machine has them, says so where it has not, and sets `FAIRLEAD_DATA_PLANE=skip`.
 */
export const describeDataPlane =
  process.env.FAIRLEAD_DATA_PLANE === "skip" ? describe.skip : describe;
