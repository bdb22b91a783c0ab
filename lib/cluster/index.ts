export { AdmissionNotes, AdmissionTimer, mendResponse } from "./admission";
export { Backoff } from "./backoff";
export {
  narrowCache,
  openCache,
  openScopedCache,
  readScope,
  type Cache,
  type CacheContext,
  type CacheOptions,
  type Change,
} from "./cache";
export { deferCache } from "./deferred-cache";
export { Freshest } from "./freshest";
export { probeGateway, type GatewayProbe, type GatewaySighting } from "./gateway-probe";
export {
  KubernetesClient,
  refOf,
  type ApplyOptions,
  type Collection,
  type PatchOptions,
  type Preconditions,
  type ServerVersion,
} from "./client";
export { systemClock, type Clock } from "./clock";
export { connectFromEnvironment, connectTo, Connection, type ClusterChoice } from "./connection";
export {
  ApiError,
  describeError,
  describeRefusal,
  isAlreadyExists,
  isConflict,
  isForbidden,
  isInvalid,
  isNotFound,
} from "./errors";
export { createEventRecorder, type EventRecorder, type EventText } from "./events";
export { installDefinitions } from "./install";
export { Liveness } from "./liveness";
export { silentLogger, type Logger } from "./logger";
export { addToPage, PrometheusMetrics, type MetricObjects } from "./prometheus";
export type { CountedDecision, Metrics, QueueMetrics, ReconcileResult, Validity } from "./metrics";
export { WatchList, type WatchFreshness, type WatchTracker } from "./freshness";
export { createQueue, Queue, type Outcome, type QueueDepth, type QueueOptions } from "./queue";
export type { KindRef, ObjectRef } from "./resources";
export {
  openHostedAPIServers,
  openWatchCaches,
  type ServiceObject,
  type WatchCaches,
} from "./caches";
export {
  tellChange,
  tellConditions,
  tellKeep,
  type Decision,
  type DecisionContext,
} from "./decisions";
export { setFinalizer } from "./finalizers";
export { applyStatus, type ObjectWithStatus, type StatusTarget } from "./status";
export { cloneShallowly } from "./shallow-clones";
export { checkPeprStore, persist, type StartContext } from "./start";
export {
  prepareWebhookServer,
  servingFilesFrom,
  untilServable,
  type WebhookServerContext,
} from "./webhook-server";
