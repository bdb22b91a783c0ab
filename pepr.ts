import "./lib/cluster/pepr-environment";
import { Log, metricsCollector, PeprModule } from "pepr";
import { credentialsController } from "./capabilities/credentials";
import {
  exposureCapability,
  exposureController,
  openExposureCaches,
} from "./capabilities/exposure";
import { podsCapability, Routes } from "./capabilities/pods";
import {
  addressesFrom,
  apiServerEndpoints,
  defaultServicesSettings,
  servicesCapability,
  servicesController,
  VersionSource,
  ZoneCounter,
  zonedNodes,
  type ServicesInputs,
  type ServicesSettings,
} from "./capabilities/services";
import { stalePodsController } from "./capabilities/stale-pods";
import { statusController } from "./capabilities/status";
import { webhookController } from "./capabilities/webhook";
import { customResourceDefinitions, type HostedAPIServer } from "./lib/api";
import {
  addToPage,
  AdmissionNotes,
  AdmissionTimer,
  checkPeprStore,
  cloneShallowly,
  connectFromEnvironment,
  createEventRecorder,
  installDefinitions,
  KubernetesClient,
  Liveness,
  mendResponse,
  narrowCache,
  openCache,
  openScopedCache,
  openHostedAPIServers,
  openWatchCaches,
  persist,
  readScope,
  prepareWebhookServer,
  PrometheusMetrics,
  servingFilesFrom,
  systemClock,
  untilServable,
  WatchList,
  type Cache,
  type CacheContext,
  type WatchCaches,
} from "./lib/cluster";
import { parseSettings } from "./lib/domain/settings";
import packageJson from "./package.json";

// The composition root: it reads the environment, makes the parts and connects them. Nothing below runs at import but
// the making of capabilities, since `pepr build` imports the module too.

const settings = parseSettings(process.env);
const isBuild = process.env.PEPR_MODE === "build";
const isDevelopment = process.env.PEPR_MODE === "dev";
const isWatch = process.env.PEPR_WATCH_MODE === "true";
const roles = {
  admission: isDevelopment || !isWatch,
  watch: isDevelopment || isWatch,
};

const clock = systemClock;
const logLevel = Log.level;
// Six lines for each request, and at debug the whole request, say nothing that fairlead's own do not.
Log.level = settings.peprLogLevel;
const log = Log.child({}, { level: logLevel });
const notes = new AdmissionNotes();
const watches = new WatchList(clock);
const liveness = new Liveness({ clock, log, watches, graceMs: settings.watchGraceMs });
const metrics = new PrometheusMetrics({ clock, version: packageJson.version, watches });
const timer = new AdmissionTimer(
  () => performance.now(),
  (tookMs) => {
    metrics.admissionAnswered(tookMs);
  },
);
/** Of the version's reads, while nothing hints at another one. */
const REST_INTERVALS = 10;
const servicesSettings: ServicesSettings = {
  ...defaultServicesSettings,
  version: {
    settleMs: settings.versionSettleMs,
    intervalMs: settings.versionIntervalMs,
    restMs: REST_INTERVALS * settings.versionIntervalMs,
  },
  resyncMs: settings.resyncMs,
};

/** A value that is there once the API server has been reached; capabilities are made before that. */
function later<T>(): { readonly promise: Promise<T>; readonly resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => undefined;
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

let context: CacheContext | undefined;
/** The context, of which no capability has need before `start` has made it. */
function connected(): CacheContext {
  if (context === undefined) throw new Error("used before the start");
  return context;
}

const scope = readScope(settings.scope);
const routes = new Routes({
  clock,
  waitMs: servicesSettings.admissionWaitMs,
  refusal: (namespace) => scope?.refusals.of(namespace),
  caches: {
    configMaps: (options) => openScopedCache(connected(), options),
    services: (options) => openScopedCache(connected(), options),
  },
});
const servicesInputs = later<ServicesInputs>();
let wakeGateway = (_key: string): void => undefined;

const capabilities = [
  podsCapability({ routes, notes, log, metrics }),
  servicesCapability({
    inputs: servicesInputs.promise,
    notes,
    clock,
    log,
    metrics,
    settings: servicesSettings,
  }),
  exposureCapability((key) => {
    wakeGateway(key);
  }),
];

function openServicesInputs(
  cluster: CacheContext,
  hostedAPIServers: Cache<HostedAPIServer>,
): ServicesInputs {
  const endpoints = openCache(cluster, apiServerEndpoints);
  const versions = new VersionSource({
    reader: cluster.client,
    addresses: addressesFrom(endpoints),
    clock,
    log,
    settings: servicesSettings.version,
    isUneasySince: (sinceMs) => watches.isUneasySince(sinceMs),
  });
  versions.start();
  // An API server that has just come or gone may be of another version.
  endpoints.onChange(() => void versions.refresh());
  const zones = new ZoneCounter(openCache(cluster, zonedNodes));
  return { versions, zones, hostedAPIServers };
}

async function startControllers(
  cluster: CacheContext,
  caches: WatchCaches,
  inputs: ServicesInputs,
): Promise<void> {
  const events = createEventRecorder(cluster);
  const withCaches = { ...cluster, caches };
  await Promise.all(
    Object.values(caches).map(({ synced }: WatchCaches[keyof WatchCaches]) => synced),
  );
  const exposureCaches = openExposureCaches(cluster, caches);
  await Promise.all([
    exposureCaches.istio.known,
    exposureCaches.networkPolicies.synced,
    exposureCaches.routeConfigMaps.synced,
  ]);
  const exposure = exposureController({
    ...cluster,
    caches: exposureCaches,
    events,
    clusterDomain: settings.clusterDomain,
  });
  const status = statusController(withCaches);
  const { routeConfigMaps } = exposureCaches;
  const served = narrowCache(caches.hostedAPIServers, scope?.controlPlanes);
  const stalePods = stalePodsController({
    ...cluster,
    caches: { ...caches, hostedAPIServers: served, routeConfigMaps },
    events,
    onCounted: (key, counts) => {
      metrics.stalePods(key, counts);
    },
  });
  const credentials = credentialsController({
    ...withCaches,
    events,
    references: exposure.references,
    settings: { drainMs: settings.drainMs, graceMs: settings.graceMs },
  });
  wakeGateway = (key) => {
    exposure.gateways.add(key);
  };
  const resync = (): void => {
    exposure.resync();
    status.resync();
    stalePods.resync();
    clock.after(settings.resyncMs, resync);
  };
  clock.after(settings.resyncMs, resync);
  const services = servicesController({
    ...cluster,
    services: caches.services,
    inputs,
    events,
    settings: servicesSettings,
  });
  await Promise.all([credentials.start(), services.start()]);
  log.info({ ...settings }, "controllers started");
}

async function start(): Promise<void> {
  metrics.observeProcess();
  addToPage(metricsCollector, metrics);
  const serving = { clock, log, metrics, files: servingFilesFrom(process.env), liveness };
  prepareWebhookServer(serving);
  const client = new KubernetesClient(
    connectFromEnvironment(() => {
      liveness.noteAnswer();
    }),
  );
  const cluster = {
    client,
    clock,
    log,
    watches,
    metrics,
    ...(scope === undefined ? {} : { scope }),
  };
  context = cluster;
  await persist(cluster, "install CustomResourceDefinitions", () =>
    installDefinitions({ ...cluster, version: packageJson.version }, customResourceDefinitions),
  );
  await persist(cluster, "find Pepr's store", () => checkPeprStore(cluster));

  const caches = roles.watch ? openWatchCaches(cluster) : undefined;
  const hostedAPIServers = caches?.hostedAPIServers ?? openHostedAPIServers(cluster);
  const served = narrowCache(hostedAPIServers, scope?.controlPlanes);
  if (caches !== undefined) {
    metrics.observeObjects(caches);
    const { webhookValidityMs: validityMs, drainMs, clusterDomain } = settings;
    webhookController({
      ...cluster,
      hostedAPIServers: served,
      ...(scope === undefined ? {} : { namespaces: scope.controlPlanes }),
      settings: { validityMs, drainMs, clusterDomain },
    });
  }
  const inputs = openServicesInputs(cluster, served);
  servicesInputs.resolve(inputs);
  if (roles.admission) {
    routes.start();
    // Ready means that routes are known: before, the replica takes no requests from the API server.
    while (!(await routes.ready(""))) log.warn({}, "the route ConfigMaps are not known yet");
  }
  const module = new PeprModule(packageJson, capabilities, {
    deferStart: true,
    beforeHook: ({ uid, object }) => {
      timer.begin(uid);
      cloneShallowly(object);
    },
    afterHook: (response) => {
      const outcome = mendResponse(response as Parameters<typeof mendResponse>[0], notes);
      if (outcome === "failed") metrics.failed("admission", new Error(outcome));
      timer.end(response.uid);
    },
  });
  await untilServable(serving);
  module.start(settings.port);
  if (caches !== undefined) await startControllers(cluster, caches, inputs);
}

if (isBuild) {
  // Pepr hands the bindings over to its build here.
  new PeprModule(packageJson, capabilities);
} else {
  start().catch((error: unknown) => {
    log.error(error, "fairlead could not start");
    process.exit(1);
  });
}
