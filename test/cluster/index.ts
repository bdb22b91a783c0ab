export type { ApiServer } from "./api-server";
export type { AuditEvent, AuditFilter } from "./audit";
export { createCA, issue } from "./certificates";
export type { AuthorityRequest, KeyPair, LeafRequest } from "./certificates";
export type { Client } from "./client";
export type { Cluster, ClusterOptions, EmbeddedCluster } from "./cluster";
export type { User } from "./cluster-files";
export { startDataPlane } from "./data-plane";
export type { ClientRequest, DataPlane, DataPlaneOptions } from "./data-plane";
export { connectCluster } from "./existing";
export type { ConnectOptions } from "./existing";
export type { Etcd } from "./etcd";
export type { Gateway, GatewayReplica, GatewayRequest } from "./gateway";
export type {
  HostedAccess,
  HostedAPIServer,
  HostedReplica,
  HostedRequest,
} from "./hosted-api-server";
export type { HostedFiles, HostedKeys } from "./hosted-files";
export type { Istiod, IstiodRejections } from "./istiod";
export type { KubectlOptions, KubectlResult } from "./kubectl";
export type { Sample } from "./metrics";
export type { HostAlias, Network, PodPlace } from "./network";
export { createProgress } from "./progress";
export type { Progress, Step } from "./progress";
export type { Rest } from "./rest";
export type { CommandOptions, CommandResult } from "./run-command";
export { startCluster } from "./start";
