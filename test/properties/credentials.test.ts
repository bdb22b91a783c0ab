import fc from "fast-check";
import type { HostedAPIServer, InternalGateway, KubernetesObject } from "../../lib/api";
import { decideAcceptance } from "../../capabilities/credentials/accept";
import { ClaimIndex } from "../../capabilities/credentials/index-of-claims";
import { DEFAULT_SETTINGS } from "../../capabilities/credentials/observed";
import { issuePeriodAt } from "../../capabilities/credentials/secrets";
import { encode, readMark } from "../../capabilities/credentials/secrets";
import { parseCopy } from "../../capabilities/credentials/copies";
import type { Secret } from "../../capabilities/credentials/sources";
import { keyOf } from "../../lib/domain/keys";
import { createCA, issue, type KeyPair } from "../cluster/certificates";
import { acceptanceWorld, bringToRest, findObject, putObject } from "../credentials/simulation";

const START_MS = Date.parse("2026-01-01T00:00:00Z");
const validity = { notBefore: new Date("2025-01-01"), notAfter: new Date("2035-01-01") };

function namespace(name: string): KubernetesObject {
  return { apiVersion: "v1", kind: "Namespace", metadata: { name, uid: `uid-${name}` } };
}

function gateway(name: string, spec: Partial<InternalGateway["spec"]> = {}): InternalGateway {
  return {
    apiVersion: "fairlead.dev/v1alpha1",
    kind: "InternalGateway",
    metadata: { namespace: "istio-ingress", name },
    spec: { selector: { istio: "x" }, allowedNamespaces: { from: "All" }, ...spec },
  };
}

interface Claim {
  readonly namespace: string;
  readonly name: string;
  readonly hosts: readonly string[];
  readonly service: string;
  readonly age: number;
  readonly gateway: string | undefined;
  readonly attachedTo: string | undefined;
}

const refTo = (name: string): { namespace: string; name: string } => ({
  namespace: "istio-ingress",
  name,
});

function claimant(claim: Claim): HostedAPIServer {
  return {
    apiVersion: "fairlead.dev/v1alpha1",
    kind: "HostedAPIServer",
    metadata: {
      namespace: claim.namespace,
      name: claim.name,
      creationTimestamp: new Date(START_MS - claim.age * 1000).toISOString(),
    },
    spec: {
      kubernetesVersion: "1.34.2",
      hosts: [...new Set(claim.hosts)],
      service: { name: claim.service },
      ...(claim.gateway === undefined ? {} : { gatewayRef: refTo(claim.gateway) }),
    },
    ...(claim.attachedTo === undefined ? {} : { status: { gatewayRef: refTo(claim.attachedTo) } }),
  };
}

const claims = fc.record({
  namespace: fc.constantFrom("tenant-a", "tenant-b", "tenant-c"),
  name: fc.constantFrom("one", "two", "three"),
  hosts: fc.array(fc.constantFrom("a.example.com", "b.example.com", "c.example.com"), {
    minLength: 1,
    maxLength: 2,
  }),
  service: fc.constantFrom("kube-apiserver", "other"),
  age: fc.integer({ min: 0, max: 3 }),
  gateway: fc.constantFrom(undefined, "default", "second", "missing"),
  attachedTo: fc.constantFrom(undefined, "default", "second"),
});
const manyClaims = fc.uniqueArray(claims, {
  minLength: 1,
  maxLength: 9,
  selector: (claim) => `${claim.namespace}/${claim.name}`,
});

/** `default` takes all, `second` some namespaces and hosts. */
const surroundings: readonly KubernetesObject[] = [
  ...["tenant-a", "tenant-b", "tenant-c", "istio-ingress"].map(namespace),
  gateway("default"),
  gateway("second", { allowedHosts: ["a.example.com"] }),
];

function decideAll(objects: readonly KubernetesObject[]): Map<string, string> {
  const world = acceptanceWorld(objects);
  const hapis = objects.filter(({ kind }) => kind === "HostedAPIServer") as HostedAPIServer[];
  return new Map(hapis.map((hapi) => [keyOf(hapi), JSON.stringify(decideAcceptance(hapi, world))]));
}

/** Whose decision changed although nobody said so. */
function changedKeys(
  before: Map<string, string>,
  after: Map<string, string>,
  announced: ReadonlySet<string>,
): string[] {
  return [...before.keys()].filter(
    (key) => !announced.has(key) && before.get(key) !== after.get(key),
  );
}

const sorted = (decisions: Map<string, string>): [string, string][] =>
  [...decisions].sort(([a], [b]) => (a < b ? -1 : 1));

describe("acceptance", () => {
  it("does not depend on the order in which claims are seen", () => {
    fc.assert(
      fc.property(
        manyClaims.chain((list) =>
          fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length })),
        ),
        ([list, shuffled]) => {
          const first = decideAll([...surroundings, ...list.map(claimant)]);
          const second = decideAll([...surroundings, ...shuffled.map(claimant)]);
          expect(sorted(second)).toEqual(sorted(first));
        },
      ),
    );
  });

  it("gives no host, Service or second gateway of a namespace to two", () => {
    fc.assert(
      fc.property(manyClaims, (list) => {
        const fresh = list.map((claim) => claimant({ ...claim, attachedTo: undefined }));
        const world = acceptanceWorld([...surroundings, ...fresh]);
        const accepted = fresh.flatMap((hapi) => {
          const acceptance = decideAcceptance(hapi, world);
          return acceptance.accepted ? [{ hapi, gateway: acceptance.gateway }] : [];
        });
        const hosts = accepted.flatMap(({ hapi }) => hapi.spec.hosts);
        expect(new Set(hosts).size).toBe(hosts.length);
        const services = accepted.map(
          ({ hapi }) => `${hapi.metadata.namespace ?? ""}/${hapi.spec.service?.name ?? ""}`,
        );
        expect(new Set(services).size).toBe(services.length);
        for (const a of accepted) {
          for (const b of accepted) {
            if (a.hapi.metadata.namespace !== b.hapi.metadata.namespace) continue;
            expect(a.gateway.metadata.name).toBe(b.gateway.metadata.name);
          }
        }
      }),
    );
  });

  it("changes for nobody but those that the index of claims names", () => {
    fc.assert(
      fc.property(manyClaims, claims, fc.boolean(), (list, claim, isRemoval) => {
        const index = new ClaimIndex();
        const before = [...surroundings, ...list.map(claimant)];
        for (const each of list) index.put(claimant(each));
        const changed = claimant(claim);
        const affected = isRemoval ? index.remove(keyOf(changed)) : index.put(changed);
        const without = before.filter(
          (object) => object.kind !== "HostedAPIServer" || keyOf(object) !== keyOf(changed),
        );
        const decisions = decideAll(isRemoval ? without : [...without, changed]);
        expect(changedKeys(decideAll(before), decisions, affected)).toEqual([]);
      }),
    );
  });

  it("changes with a gateway for nobody but those that the index of claims names", () => {
    fc.assert(
      fc.property(manyClaims, fc.constantFrom("default", "second"), (list, name) => {
        const index = new ClaimIndex();
        for (const each of list) index.put(claimant(each));
        const before = [...surroundings, ...list.map(claimant)];
        const closed = gateway(name, { allowedNamespaces: { from: "Same" } });
        const after = decideAll(putObject(before, closed));
        const affected = index.affectedByGateway(refTo(name));
        expect(changedKeys(decideAll(before), after, affected)).toEqual([]);
      }),
    );
  });
});

describe("the period of issued certificates", () => {
  const times = fc.integer({ min: START_MS, max: START_MS + 10 * 365 * 86_400_000 });

  it("holds the moment, is half a life long, and is the same whoever asks and when", () => {
    fc.assert(
      fc.property(
        claims,
        times,
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (claim, nowMs, at) => {
          const hapi = claimant(claim);
          const { startMs, endMs } = issuePeriodAt(hapi, DEFAULT_SETTINGS, nowMs);
          expect(startMs).toBeLessThanOrEqual(nowMs);
          expect(endMs).toBeGreaterThan(nowMs);
          expect(endMs - startMs).toBe(DEFAULT_SETTINGS.lifetimeMs / 2);
          const later = startMs + Math.floor(at * (endMs - startMs));
          expect(issuePeriodAt(hapi, DEFAULT_SETTINGS, later)).toEqual({ startMs, endMs });
        },
      ),
    );
  });
});

interface Pool {
  readonly authorities: readonly KeyPair[];
  readonly servers: readonly KeyPair[];
}

let pool: Pool;

beforeAll(async () => {
  const authorities = [
    await createCA({ commonName: "first", ...validity }),
    await createCA({ commonName: "second", ...validity }),
  ];
  const [first] = authorities;
  if (first === undefined) throw new Error("no authority");
  const request = { commonName: "server", usages: ["server"], ...validity } as const;
  const servers = [
    await issue(first, { ...request, dnsNames: ["api.example.com"] }),
    await issue(first, { ...request, dnsNames: ["api.example.com"] }),
    await issue(first, { ...request, dnsNames: ["other.example.com"] }),
  ];
  pool = { authorities, servers };
});

const kindsOfSource = fc.constantFrom("first", "second", "mismatched", "nonsense", "missing");
type KindOfSource = "first" | "second" | "mismatched" | "nonsense" | "missing";

const steps = fc.array(
  fc.record({
    server: kindsOfSource,
    clientCA: kindsOfSource,
    issuer: kindsOfSource,
    withClients: fc.boolean(),
    isAllowed: fc.boolean(),
    isForeignInTheWay: fc.boolean(),
    afterMs: fc.constantFrom(0, 60_000, 119_000, 300_000, 16 * 86_400_000),
  }),
  { minLength: 1, maxLength: 5 },
);

function source(name: string, kind: KindOfSource, pairs: readonly KeyPair[]): readonly Secret[] {
  if (kind === "missing") return [];
  const [first, second, third] = pairs;
  const chosen = kind === "second" ? second : first;
  const stranger = third ?? second;
  const values = {
    "tls.crt": kind === "nonsense" ? "nonsense" : (chosen?.certificatePem ?? ""),
    "tls.key": (kind === "mismatched" ? stranger : chosen)?.privateKeyPem ?? "",
  };
  const metadata = { namespace: "tenant-a", name };
  return [{ apiVersion: "v1", kind: "Secret", metadata, data: encode(values) }];
}

function subject(namespaceName: string, name: string, withClients: boolean): HostedAPIServer {
  return {
    apiVersion: "fairlead.dev/v1alpha1",
    kind: "HostedAPIServer",
    metadata: { namespace: namespaceName, name, uid: "uid", generation: 1 },
    spec: {
      kubernetesVersion: "1.34.2",
      hosts: ["api.example.com"],
      certificates: {
        server: { secretName: "server" },
        serverCA: { secretName: "server-ca", key: "tls.crt" },
        ...(withClients
          ? {
              clientCA: { secretName: "client-ca", key: "tls.crt" },
              proxyClient: {
                issuer: {
                  secretName: "issuer",
                  certificateKey: "tls.crt",
                  privateKeyKey: "tls.key",
                },
              },
            }
          : {}),
      },
    },
  };
}

const isDerived = (object: KubernetesObject): boolean => readMark(object) !== undefined;
const foreign: Secret = {
  apiVersion: "v1",
  kind: "Secret",
  metadata: { namespace: "istio-ingress", name: "foreign", uid: "foreign", labels: {} },
  data: { cert: "eA==" },
};

function inTheWay(derived: readonly KubernetesObject[]): KubernetesObject {
  const name = derived[0]?.metadata.name ?? "foreign";
  return { ...foreign, metadata: { ...foreign.metadata, name } };
}

function expectSound(objects: readonly KubernetesObject[], hapi: HostedAPIServer): void {
  const { gatewayRef, credentials = {} } = hapi.status ?? {};
  for (const [field, name] of Object.entries(credentials)) {
    const secret = findObject(objects, {
      kind: "Secret",
      namespace: gatewayRef?.namespace ?? "",
      name,
    }) as Secret | undefined;
    // What status refers to is there, and its certificate and key belong together.
    expect(secret).toBeDefined();
    if (secret === undefined) continue;
    const use = field === "server" ? "server" : "proxy-client";
    expect(parseCopy(secret, use)).toBeDefined();
  }
  expect(JSON.stringify(hapi.status)).not.toMatch(/PRIVATE KEY|LS0tLS1CRUdJTi/);
}

const makers = ["create", "replace", "recreate", "unmark"];

describe("planning", () => {
  it("comes to rest whatever happens, makes before it takes away, and touches nothing foreign", async () => {
    await fc.assert(
      fc.asyncProperty(steps, async (list) => {
        let version = 0;
        let nowMs = START_MS;
        let derived: readonly KubernetesObject[] = [];
        let last: HostedAPIServer | undefined;
        for (const step of list) {
          nowMs += step.afterMs;
          const stranger = inTheWay(step.isForeignInTheWay ? derived : []);
          const objects = [
            ...["tenant-a", "istio-ingress"].map(namespace),
            gateway("default", { allowedNamespaces: { from: step.isAllowed ? "All" : "Same" } }),
            ...source("server", step.server, pool.servers),
            ...source("server-ca", "first", pool.authorities),
            ...source("client-ca", step.clientCA, pool.authorities),
            ...source("issuer", step.issuer, pool.authorities),
            ...derived.filter(({ metadata }) => metadata.name !== stranger.metadata.name),
            stranger,
          ];
          const wish = subject("tenant-a", "main", step.withClients);
          const next: HostedAPIServer = {
            ...wish,
            metadata: { ...wish.metadata, finalizers: last?.metadata.finalizers ?? [] },
            ...(last?.status === undefined ? {} : { status: last.status }),
          };
          const cluster = {
            objects,
            references: new Set<string>(),
            settings: DEFAULT_SETTINGS,
            nextVersion: () => String((version += 1)),
          };
          const rest = await bringToRest(cluster, next, nowMs);
          const kinds = rest.done.map(({ action }) => action.kind);
          const lastMade = Math.max(
            -1,
            ...kinds.map((kind, at) => (makers.includes(kind) ? at : -1)),
          );
          const firstTaken = kinds.findIndex((kind) => kind === "delete");
          expect(firstTaken === -1 || firstTaken > lastMade).toBe(true);
          expect(findObject(rest.objects, { kind: "Secret", ...refOf(stranger) })).toEqual(
            stranger,
          );
          last = findObject(rest.objects, {
            kind: "HostedAPIServer",
            ...refOf(wish),
          }) as HostedAPIServer;
          derived = rest.objects.filter(isDerived);
          expectSound(rest.objects, last);
        }
      }),
      { numRuns: 150 },
    );
  });

  it("makes names that a Secret may have", async () => {
    const label = fc.stringMatching(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/);
    await fc.assert(
      fc.asyncProperty(label, label, async (tenant, name) => {
        const move = (secret: Secret): Secret => ({
          ...secret,
          metadata: { ...secret.metadata, namespace: tenant },
        });
        const sources = [
          ...source("server", "first", pool.servers),
          ...["server-ca", "client-ca", "issuer"].flatMap((each) =>
            source(each, "first", pool.authorities),
          ),
        ].map(move);
        const rest = await bringToRest(
          {
            objects: [
              namespace(tenant),
              namespace("istio-ingress"),
              gateway("default"),
              ...sources,
            ],
            references: new Set(),
            settings: DEFAULT_SETTINGS,
            nextVersion: () => "1",
          },
          subject(tenant, name, true),
          START_MS,
        );
        const names = rest.objects.filter(isDerived).map(({ metadata }) => metadata.name);
        expect(names).toHaveLength(2);
        for (const each of names) {
          expect(each.length).toBeLessThanOrEqual(253);
          expect(each).toMatch(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?-[0-9a-f]{10}$/);
        }
      }),
      { numRuns: 50 },
    );
  });
});

function refOf({ metadata }: KubernetesObject): { namespace: string; name: string } {
  return { namespace: metadata.namespace ?? "", name: metadata.name };
}
