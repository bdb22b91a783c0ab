export { gardener, rotateGardener } from "./gardener";
export { k0smotron } from "./k0smotron";
export { kamaji } from "./kamaji";
export { examplePath } from "./project";
export { setProjectsStage } from "./stage";
export type { ProjectsStage, StagedProject } from "./stage";
