import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import type { AnyObject, Kind, Ref } from "../harness/api";
import { eventually, settled } from "../harness/eventually";
import { startFairlead } from "../harness/fairlead";
import { applyIstioDefinitions } from "../harness/istio-definitions";
import { decode, endpointSlice, internalGateway, namespace, service } from "../harness/objects";
import {
  conditionsOf,
  setStage,
  START_TIMEOUT_MS,
  type SeenCondition,
  type Stage,
} from "../harness/stage";
import { describeDataPlane } from "./data-plane-choice";
import { LARGE_CASES_VERSION } from "./versions";

jest.setTimeout(180_000);

const home = "istio-ingress";
const selector = { istio: "ingressgateway" };

const at = (kind: Kind, name: string): Ref => ({ kind, namespace: home, name });
const igw = at("InternalGateway", "default");
const filter = at("EnvoyFilter", "fairlead-default");
const routeSecret = at("Secret", "fairlead-default-route");
const internalService = at("Service", "istio-ingressgateway-internal");

/** Somebody else's Gateway on the same Pods. */
const foreignGateway = (port: number): AnyObject => ({
  apiVersion: "networking.istio.io/v1",
  kind: "Gateway",
  metadata: { name: "shop", namespace: "shop" },
  spec: {
    selector,
    servers: [
      {
        hosts: ["shop.example.com"],
        port: { name: "https", number: port, protocol: "HTTPS" },
        tls: { mode: "SIMPLE", credentialName: "shop" },
      },
    ],
  },
});

/** The port that a stock public Service has for HTTPS; it is older than all that fairlead makes. */
const publicService = service(home, "istio-ingressgateway", {
  selector,
  ports: [{ name: "https", port: 443, targetPort: 8443 }],
});

const denyAll = {
  apiVersion: "networking.k8s.io/v1",
  kind: "NetworkPolicy",
  metadata: { name: "deny-all", namespace: home },
  spec: { podSelector: {}, policyTypes: ["Ingress"] },
};

describeDataPlane("an InternalGateway", () => {
  let stage: Stage;

  const untilIs = async (
    ref: Ref,
    type: string,
    expected: Partial<SeenCondition>,
  ): Promise<AnyObject> =>
    eventually(async () => {
      const object = await stage.api.get(ref);
      expect(conditionsOf(object)[type]).toMatchObject(expected);
      return object;
    });

  const untilThere = async (ref: Ref): Promise<AnyObject> =>
    eventually(async () => stage.api.get(ref));

  const untilGone = async (ref: Ref): Promise<void> =>
    eventually(async () => {
      expect(await stage.api.find(ref)).toBeUndefined();
    });

  const valueOf = (secret: AnyObject): string => decode(secret).value ?? "";

  /** Stands for a spec that holds the route secret: what a test compares it may print. */
  const digestOf = ({ spec }: AnyObject): string =>
    createHash("sha256").update(JSON.stringify(spec)).digest("hex");

  /** The route secret that the EnvoyFilter holds. */
  const heldBy = (object: AnyObject): string | undefined =>
    /fairlead_client_certificates\("([0-9a-f]+)"\)/.exec(
      JSON.stringify(object).replaceAll("\\", ""),
    )?.[1];

  /** What the watch process wrote; Pepr's own store aside. */
  const writesSince = async (since: Date): Promise<readonly string[]> => {
    const events = await stage.cluster.auditEvents({ user: "fairlead-watch", since });
    return events
      .filter(({ verb }) => !["get", "list", "watch"].includes(verb))
      .filter(({ requestURI }) => !requestURI.includes("peprstores"))
      .map(({ verb, requestURI }) => `${verb} ${requestURI}`);
  };

  const untilQuiet = async (): Promise<void> => {
    const since = new Date();
    await settled(async () => writesSince(since), { quietMs: 2_000 });
  };

  beforeAll(async () => {
    stage = await setStage({
      version: LARGE_CASES_VERSION,
      objects: [namespace(home), namespace("shop"), publicService],
    });
  }, START_TIMEOUT_MS);

  afterAll(async () => {
    await stage.stop();
  });

  it("gets its Service without Istio, and says that Istio is missing", async () => {
    await stage.api.create(internalGateway(home));
    const { metadata, spec } = await untilThere(internalService);
    expect(spec).toMatchObject({ type: "ClusterIP", ports: [{ port: 443, targetPort: 9443 }] });
    expect(metadata.labels).toHaveProperty([
      "experimental.istio.io/disable-gateway-port-translation",
    ]);
    await untilIs(igw, "Accepted", { status: "True" });
    await untilIs(igw, "Programmed", { status: "False", reason: "IstioNotInstalled" });
    expect(await stage.api.list("Secret", home)).toEqual([]);
  });

  it("goes on by itself once Istio's kinds are served", async () => {
    await applyIstioDefinitions(stage);
    const secret = await untilThere(routeSecret);
    expect(valueOf(secret)).toMatch(/^[0-9a-f]{64}$/);
    expect(secret).toMatchObject({ immutable: true, type: "Opaque" });
    expect(heldBy(await untilThere(filter))).toBe(valueOf(secret));
    await untilIs(igw, "Programmed", { status: "False", reason: "AddressNotUsable" });
  });

  it("is programmed once its Service has a ready endpoint", async () => {
    const addresses = ["192.0.2.10"];
    await stage.api.create(endpointSlice(home, internalService.name, { addresses, port: 9443 }));
    const { status } = await untilIs(igw, "Programmed", { status: "True" });
    const { spec } = await stage.api.get(internalService);
    const [ipv4] = (spec as { clusterIPs: readonly string[] }).clusterIPs;
    expect(status).toMatchObject({ addresses: [ipv4] });
  });

  it("has its EnvoyFilter back when somebody deletes or edits it", async () => {
    const first = await stage.api.get(filter);
    await stage.api.remove(filter);
    const second = await eventually(async () => {
      const found = await stage.api.get(filter);
      expect(found.metadata.uid).not.toBe(first.metadata.uid);
      return found;
    });
    expect(digestOf(second)).toBe(digestOf(first));
    await stage.api.patch(filter, {
      metadata: { labels: { team: "network" } },
      spec: { configPatches: [], workloadSelector: { labels: { somebody: "else" } } },
    });
    await eventually(async () => {
      expect(digestOf(await stage.api.get(filter))).toBe(digestOf(first));
    });
    expect((await stage.api.get(filter)).metadata.labels).toMatchObject({ team: "network" });
  });

  it("has its Service back as it was when somebody edits it", async () => {
    const first = await stage.api.get(internalService);
    await stage.api.patch(internalService, {
      metadata: { labels: { "experimental.istio.io/disable-gateway-port-translation": null } },
      spec: {
        type: "NodePort",
        selector: { somebody: "else" },
        ports: [{ name: "tls", port: 443, targetPort: 8443, protocol: "TCP" }],
      },
    });
    await eventually(async () => {
      const { metadata, spec } = await stage.api.get(internalService);
      expect(spec).toEqual(first.spec);
      expect(metadata.labels).toEqual(first.metadata.labels);
    });
  });

  it("gets another route secret when somebody deletes it, and the EnvoyFilter follows", async () => {
    const first = valueOf(await stage.api.get(routeSecret));
    await stage.api.remove(routeSecret);
    await eventually(async () => {
      const value = valueOf(await stage.api.get(routeSecret));
      expect(value).not.toBe(first);
      expect(heldBy(await stage.api.get(filter))).toBe(value);
    });
  });

  it("is not accepted while a Gateway of somebody else's has its port, and is mended all the same", async () => {
    await stage.api.create(foreignGateway(9443));
    const refused = await untilIs(igw, "Accepted", { status: "False", reason: "PortInUse" });
    expect(conditionsOf(refused).Accepted?.message).toContain("Gateway shop/shop serves port 9443");
    const before = await stage.api.get(filter);
    await stage.api.remove(filter);
    await eventually(async () => {
      const after = await stage.api.get(filter);
      expect(after.metadata.uid).not.toBe(before.metadata.uid);
      expect(digestOf(after)).toBe(digestOf(before));
    });
    await stage.api.remove({ kind: "Gateway", namespace: "shop", name: "shop" });
    await untilIs(igw, "Accepted", { status: "True" });
    await untilIs(igw, "Programmed", { status: "True" });
  });

  it("leaves a Gateway on another port alone, wherever the oldest Service maps that", async () => {
    const ref = { kind: "Gateway", namespace: "shop", name: "shop" } as const;
    const setPort = async (port: number): Promise<unknown> =>
      stage.api.patch(ref, { spec: foreignGateway(port).spec });
    // From a port that is refused, so that a verdict on the other one is seen.
    await stage.api.create(foreignGateway(9443));
    await untilIs(igw, "Accepted", { reason: "PortInUse" });
    await setPort(443);
    await untilIs(igw, "Accepted", { status: "True" });
    const [https] = (publicService.spec as { ports: readonly object[] }).ports;
    await stage.api.patch(at("Service", "istio-ingressgateway"), {
      spec: { ports: [{ ...https, targetPort: 9443 }] },
    });
    const refused = await untilIs(igw, "Accepted", { reason: "PortInUse" });
    expect(conditionsOf(refused).Accepted?.message).toContain(
      "port 443 of the same Pods, which Service istio-ingress/istio-ingressgateway maps to 9443",
    );
    await stage.api.remove(at("Service", "istio-ingressgateway"));
    // No Service translates 443 now but the internal one, which must not.
    await untilIs(igw, "Accepted", { status: "True" });
    await stage.api.remove(ref);
  });

  it("of the same Pods and port waits for the older one to go", async () => {
    const younger = internalGateway(home, { selector, serviceName: "another-internal" });
    const another = at("InternalGateway", "another");
    await stage.api.create({ ...younger, metadata: { name: "another", namespace: home } });
    await untilIs(another, "Accepted", { status: "False", reason: "PortInUse" });
    expect(await stage.api.find(at("Service", "another-internal"))).toBeUndefined();
    await stage.api.remove(another);
    await untilGone(another);
  });

  it("leaves an EnvoyFilter of its name that is somebody else's alone, and goes on when that is gone", async () => {
    const foreign = {
      apiVersion: "networking.istio.io/v1alpha3",
      kind: "EnvoyFilter",
      metadata: { name: "fairlead-another", namespace: home },
      spec: { configPatches: [] },
    };
    const { body: created } = await stage.api.create(foreign);
    const another = at("InternalGateway", "another");
    const spec = { port: { service: 443, target: 10443 }, serviceName: "another-internal" };
    const gateway = internalGateway(home, spec);
    await stage.api.create({ ...gateway, metadata: { name: "another", namespace: home } });
    await untilIs(another, "Programmed", { status: "False", reason: "ForeignObject" });
    const ref = at("EnvoyFilter", "fairlead-another");
    expect((await stage.api.get(ref)).metadata).toEqual(created.metadata);
    await stage.api.remove(ref);
    await untilIs(another, "Programmed", { reason: "AddressNotUsable" });
    expect(heldBy(await stage.api.get(ref))).toBe(
      valueOf(await stage.api.get(at("Secret", "fairlead-another-route"))),
    );
    await stage.api.remove(another);
    for (const kind of ["EnvoyFilter", "Secret", "Service"] as const) {
      await eventually(async () => {
        const names = (await stage.api.list(kind, home)).map(({ metadata }) => metadata.name);
        expect(names.filter((name = "") => name.includes("another"))).toEqual([]);
      });
    }
    await untilGone(another);
  });

  it("has a NetworkPolicy as long as another one isolates its Pods", async () => {
    const own = async (): Promise<readonly AnyObject[]> =>
      stage.api.list("NetworkPolicy", home, "app.kubernetes.io/managed-by=fairlead");
    const { body: foreign } = await stage.api.create(denyAll);
    const [policy] = await eventually(async () => {
      const found = await own();
      expect(found).toHaveLength(1);
      return found;
    });
    expect(policy?.metadata.ownerReferences).toEqual([
      expect.objectContaining({ name: "deny-all", uid: foreign.metadata.uid }),
    ]);
    await stage.api.remove(at("NetworkPolicy", policy?.metadata.name ?? ""));
    await eventually(async () => {
      const [again] = await own();
      expect(again?.metadata.uid).toBeDefined();
      expect(again?.metadata.uid).not.toBe(policy?.metadata.uid);
    });
  });

  it("says what the API server refuses, without the route secret", async () => {
    const lua =
      "object.spec.configPatches.filter(p, p.applyTo == 'EXTENSION_CONFIG')[0].patch.value.typed_config.default_source_code.inline_string";
    const name = "no-envoy-filters";
    await stage.api.createAll([
      {
        apiVersion: "admissionregistration.k8s.io/v1",
        kind: "ValidatingAdmissionPolicy",
        metadata: { name },
        spec: {
          failurePolicy: "Fail",
          matchConstraints: {
            resourceRules: [
              {
                apiGroups: ["networking.istio.io"],
                apiVersions: ["*"],
                operations: ["CREATE", "UPDATE"],
                resources: ["envoyfilters"],
              },
            ],
          },
          validations: [
            {
              expression: "false",
              // As unkind as a policy can be: it quotes what it refuses.
              messageExpression: `"no filters here: " + ${lua}.split("\\n").filter(line, line.contains("envoy_on_request"))[0]`,
            },
          ],
        },
      },
      {
        apiVersion: "admissionregistration.k8s.io/v1",
        kind: "ValidatingAdmissionPolicyBinding",
        metadata: { name },
        spec: { policyName: name, validationActions: ["Deny"] },
      },
    ]);
    const before = await stage.api.get(filter);
    try {
      await eventually(async () => {
        const tried = stage.api.patch(filter, { metadata: { labels: { tried: "true" } } });
        await expect(tried).rejects.toThrow("no filters here");
      });
      await stage.api.remove(filter);
      const refused = await untilIs(igw, "Programmed", { status: "False", reason: "WriteRefused" });
      expect(conditionsOf(refused).Programmed?.message).toContain(
        'no filters here: envoy_on_request = fairlead_client_certificates("…")',
      );
    } finally {
      await stage.api.remove({ kind: "ValidatingAdmissionPolicyBinding", name });
      await stage.api.remove({ kind: "ValidatingAdmissionPolicy", name });
    }
    await eventually(
      async () => {
        expect(digestOf(await stage.api.get(filter))).toBe(digestOf(before));
      },
      { timeoutMs: 90_000 },
    );
    await untilIs(igw, "Programmed", { status: "True" });
  });

  it("that is in line is not written to, not even by a process that starts", async () => {
    await untilQuiet();
    const { metadata, status } = await stage.api.get(igw);
    const since = new Date();
    await stage.fairlead.watch.stop();
    await stage.fairlead.watch.start();
    await eventually(() => {
      const log = readFileSync(stage.fairlead.watch.logPath, "utf8");
      expect(log.split("controllers started")).toHaveLength(3);
    });
    await stage.api.patch(igw, { metadata: { annotations: { touched: "true" } } });
    await untilQuiet();
    expect(await writesSince(since)).toEqual([]);
    const after = await stage.api.get(igw);
    expect(after.status).toEqual(status);
    expect(after.metadata.generation).toBe(metadata.generation);
  });

  it("is one thing to two processes", async () => {
    const second = await startFairlead(stage.cluster, { processes: ["watch"] });
    try {
      await stage.api.remove(routeSecret);
      await stage.api.remove(filter);
      const value = await eventually(async () => {
        const found = valueOf(await stage.api.get(routeSecret));
        expect(heldBy(await stage.api.get(filter))).toBe(found);
        return found;
      });
      await untilQuiet();
      expect(valueOf(await stage.api.get(routeSecret))).toBe(value);
      expect(heldBy(await stage.api.get(filter))).toBe(value);
      await untilIs(igw, "Programmed", { status: "True" });
    } finally {
      await second.stop();
    }
  });

  it("takes everything of it away when it goes, and nobody has told the route secret", async () => {
    const value = valueOf(await stage.api.get(routeSecret));
    const told = JSON.stringify([
      await stage.api.get(igw),
      await stage.api.list("Event"),
      readFileSync(stage.fairlead.watch.logPath, "utf8"),
      readFileSync(stage.fairlead.admission.logPath, "utf8"),
    ]);
    expect(told).toContain("fairlead-default-route");
    expect(told).not.toContain(value);
    expect(told).not.toContain(Buffer.from(value).toString("base64"));
    await stage.api.remove(igw);
    await untilGone(igw);
    for (const kind of ["EnvoyFilter", "Secret", "Service"] as const) {
      const names = (await stage.api.list(kind, home)).map(({ metadata }) => metadata.name);
      expect(names).toEqual([]);
    }
    const policies = await stage.api.list("NetworkPolicy", home);
    expect(policies.map(({ metadata }) => metadata.name)).toEqual(["deny-all"]);
  });
});
