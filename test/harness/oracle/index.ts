export { createForeign, lookalikes, type ForeignObjects } from "./foreign";
export type { Expectations } from "./hosted";
export { judge } from "./judge";
export { observeCluster, type ObservedCluster } from "./observed";
