import { grants, seldomUsed, type Grant, type PolicyRule } from "../../deploy/objects/rbac";
import {
  createCA,
  issue,
  startCluster,
  startDataPlane,
  type DataPlane,
  type EmbeddedCluster,
} from "../cluster";
import type { AuditEvent } from "../cluster/audit";
import { Api, type AnyObject, type Kind, type Ref } from "../harness/api";
import { eventually } from "../harness/eventually";
import { addTenant, type ExposedTenant } from "../harness/exposed-tenant";
import { startFairlead, type Fairlead } from "../harness/fairlead";
import { documentedRights, listedRights } from "../harness/documented-rights";
import { installHardened, restrictedInstallation, userOf } from "../harness/hardened";
import { manifestObjects } from "../harness/installation";
import {
  decode,
  hostedAPIServer,
  internalGateway,
  namespace,
  routedPod,
  secret,
  service,
} from "../harness/objects";
import { conditionsOf, keepLogs, speak, START_TIMEOUT_MS, untilCondition } from "../harness/stage";
import { issuedCertificates, makeTenantKeys, tenantObjects } from "../harness/tenant";
import { describeDataPlane } from "./data-plane-choice";
import { LARGE_CASES_VERSION } from "./versions";

// Both processes run as the ServiceAccounts of the manifest, with the rights of the manifest, through the life of a
// tenant: what they are refused fails here, and so does what they were given and never used.

jest.setTimeout(180_000);

const GATEWAYS = "istio-ingress";
const TENANT = "tenant-a";
const ZONES = ["zone-1", "zone-2"];
const ROUTE = "fairlead.dev/route";
const gatewayLabels = { app: "istio-ingressgateway", istio: "ingressgateway" };

function isolation(inNamespace: string): AnyObject {
  return {
    apiVersion: "networking.k8s.io/v1",
    kind: "NetworkPolicy",
    metadata: { name: "isolate", namespace: inNamespace },
    spec: { podSelector: {}, policyTypes: ["Ingress", "Egress"] },
  } as unknown as AnyObject;
}

const withGroup = (resource: string, group = ""): string =>
  group === "" ? resource : `${resource}.${group}`;

/** `process verb resource[/subresource].group in place`, for each right; place is a namespace or `*`. */
function rightsOf({ processes, rights, scope }: Grant): readonly string[] {
  const place = typeof scope === "object" ? scope.namespace : scope === "gateways" ? GATEWAYS : "*";
  const what = ({ apiGroups = [], resources = [], nonResourceURLs = [] }: PolicyRule) => [
    ...resources.map((resource) => withGroup(resource, apiGroups[0])),
    ...nonResourceURLs,
  ];
  return processes.flatMap(({ mode }) =>
    rights.flatMap(({ rule }) =>
      rule.verbs.flatMap((verb) => what(rule).map((each) => `${mode} ${verb} ${each} in ${place}`)),
    ),
  );
}

/** What a request has made use of: the right in its namespace, or in all. */
function usesOf(mode: string, event: AuditEvent): readonly string[] {
  const { verb, objectRef, requestURI, responseStatus } = event;
  if (objectRef?.resource === undefined) return [`${mode} ${verb} ${requestURI} in *`];
  const { resource, subresource, apiGroup, namespace: inNamespace } = objectRef;
  // An apply that makes an object needs the right to create it, too.
  const isMade = verb === "patch" && responseStatus?.code === 201;
  const verbs = isMade ? [verb, "create"] : [verb];
  const kind = subresource === undefined ? resource : `${resource}/${subresource}`;
  return verbs.flatMap((each) =>
    [inNamespace ?? "*", "*"].map(
      (place) => `${mode} ${each} ${withGroup(kind, apiGroup)} in ${place}`,
    ),
  );
}

/** A kubeconfig of a tenant's that leads elsewhere. */
function kubeconfigText(caPem: string): string {
  return [
    "apiVersion: v1",
    "kind: Config",
    "current-context: main",
    "contexts: [{name: main, context: {cluster: main, user: main}}]",
    "users: [{name: main, user: {token: none}}]",
    "clusters:",
    "- name: main",
    "  cluster:",
    "    server: https://elsewhere.example.com",
    `    certificate-authority-data: ${Buffer.from(caPem).toString("base64")}`,
    "",
  ].join("\n");
}

/** Somebody else's object that has the name of one of fairlead's. */
function foreign(kind: Kind, spec: object): AnyObject {
  return {
    apiVersion: "networking.istio.io/v1",
    kind,
    metadata: { name: `${TENANT}-main`, namespace: GATEWAYS },
    spec,
  } as unknown as AnyObject;
}

const foreignObjects: readonly AnyObject[] = [
  foreign("DestinationRule", { host: "elsewhere.example.com" }),
  foreign("VirtualService", {
    hosts: ["elsewhere.example.com"],
    gateways: ["elsewhere"],
    http: [{ route: [{ destination: { host: "elsewhere.example.com" } }] }],
  }),
  foreign("Gateway", {
    selector: { app: "elsewhere" },
    servers: [
      {
        port: { number: 80, name: "http", protocol: "HTTP" },
        hosts: ["elsewhere.example.com"],
      },
    ],
  }),
];

const nameOf = ({ kind, metadata }: AnyObject): string =>
  [kind, metadata.namespace ?? "", metadata.name].join("/");

describeDataPlane("fairlead with the manifest's rights", () => {
  let cluster: EmbeddedCluster;
  let api: Api;
  let plane: DataPlane;
  let fairlead: Fairlead | undefined;
  let tenant: ExposedTenant;
  /** Since when the audit log matters. */
  let since = new Date(0);

  const eventsOf = async (mode: "admission" | "watch"): Promise<readonly AuditEvent[]> =>
    cluster.auditEvents({ user: userOf(mode), since });

  const expectServer = async (server: string): Promise<void> =>
    eventually(async () => {
      const { namespace: inNamespace } = tenant;
      const secretRef: Ref = { kind: "Secret", namespace: inNamespace, name: "generic" };
      const { kubeconfig: text = "" } = decode(await api.get(secretRef));
      expect(/server: (\S+)/.exec(text)?.[1]).toBe(server);
    });

  const hostsOfRoute = async (): Promise<readonly string[] | undefined> => {
    const name = "istio-internal-load-balancing";
    const found = await api.find({ kind: "ConfigMap", namespace: tenant.namespace, name });
    return found?.data?.hosts?.split(",");
  };

  const secretsFor = async (name: string): Promise<readonly AnyObject[]> =>
    api.list("Secret", GATEWAYS, `fairlead.dev/namespace=${name}`);

  const newTenant = async (name: string): Promise<ExposedTenant> =>
    addTenant(
      { api, plane },
      {
        name,
        replicaZones: ["zone-1"],
        spec: {
          clients: { kubeconfigSecrets: ["generic"], restartStalePods: true },
          topologyAware: { enabled: true },
        },
      },
    );

  const run = async (
    installed: EmbeddedCluster,
    env: Readonly<Record<string, string>> = {},
  ): Promise<void> => {
    fairlead = await startFairlead(installed, {
      dataPlane: plane,
      env: { FAIRLEAD_DRAIN_SECONDS: "1", FAIRLEAD_GRACE_SECONDS: "1", ...env },
    });
  };

  const refusalsOf = async (mode: "admission" | "watch"): Promise<readonly string[]> => {
    const events = await eventsOf(mode);
    expect(events.length).toBeGreaterThan(20);
    const refused = events.filter(({ responseStatus }) => responseStatus?.code === 403);
    return [...new Set(refused.map(({ verb, requestURI }) => `${verb} ${requestURI}`))];
  };

  const policiesIn = async (inNamespace: string): Promise<number> => {
    const all = await api.list("NetworkPolicy", inNamespace);
    return all.filter(({ metadata }) => metadata.name !== "isolate").length;
  };

  const untilGone = async (ref: Ref): Promise<void> =>
    eventually(async () => {
      expect(await api.find(ref)).toBeUndefined();
    });

  beforeAll(async () => {
    cluster = await startCluster({ version: LARGE_CASES_VERSION, controllerManager: "run" });
    api = new Api(cluster);
    plane = await startDataPlane(cluster, { zones: ZONES });
    const labels = gatewayLabels;
    const names = { namespace: GATEWAYS, name: "istio-ingressgateway" };
    await plane.addGateway({ ...names, labels, zones: ZONES });
    await run(await installHardened(cluster));
  }, START_TIMEOUT_MS);

  afterAll(async () => {
    api.close();
    await fairlead?.stop();
    if (fairlead !== undefined) keepLogs(cluster, fairlead);
    await plane.stop();
    await cluster.stop();
  });

  describe("for all namespaces", () => {
    beforeAll(async () => {
      await api.createAll([internalGateway(GATEWAYS), isolation(GATEWAYS), ...foreignObjects]);
      tenant = await newTenant(TENANT);
    });

    it("makes nothing of somebody else's its own", async () => {
      for (const { kind, metadata } of foreignObjects) {
        await untilCondition(api, tenant, {
          type: "Programmed",
          reason: "ForeignObject",
          message: `${kind} ${GATEWAYS}/${metadata.name ?? ""} exists and is not fairlead's, so it is not touched; delete it, and fairlead makes its own.`,
        });
        await api.remove({
          kind: kind as Kind,
          namespace: GATEWAYS,
          name: metadata.name ?? "",
        });
        // Only Gateways of others are watched; a change of its own wakes it, too.
        await api.patch(tenant.ref, { metadata: { annotations: { removed: kind } } });
      }
      expect((await tenant.untilReady()).status?.loadBalancing).toBe("L7");
    });

    it("brings a tenant to Ready, with its kubeconfig, policies and Services", async () => {
      await api.createAll([
        secret(TENANT, "generic", { kubeconfig: kubeconfigText(tenant.caPem) }),
        isolation(TENANT),
        service(TENANT, "etcd-main-client"),
      ]);
      await tenant.untilReady();
      // Admission led it nowhere, so it is stale from now on, and its owners are looked for.
      const { metadata, ...pod } = routedPod(TENANT, "stale");
      await api.create({ ...pod, metadata: { ...metadata, labels: { [ROUTE]: "false" } } });
      const labels = { [ROUTE]: "true" };
      await api.patch({ kind: "Pod", namespace: TENANT, name: "stale" }, { metadata: { labels } });
      await expectServer(`https://${tenant.host}`);
      await eventually(async () => {
        expect(await policiesIn(TENANT)).toBeGreaterThan(0);
        expect(await policiesIn(GATEWAYS)).toBeGreaterThan(0);
      });
      await untilCondition(api, tenant, { type: "PodsUpToDate", reason: "LeftAlone" });
    });

    it("follows what changes: certificates, CAs, hosts, the mode, a Service", async () => {
      const hosts = [tenant.host, `also.${tenant.host}`];
      const renewed = await issue(tenant.publicCA, {
        commonName: tenant.host,
        dnsNames: hosts,
        usages: ["server"],
      });
      await tenant.writeSource("Secret", "kube-apiserver", {
        "tls.crt": renewed.certificatePem,
        "tls.key": renewed.privateKeyPem,
      });
      const more = (await createCA({ commonName: "next" })).certificatePem;
      const { serverCA, clientCA } = tenant.keys;
      await tenant.writeSource("Secret", "ca", { "ca.crt": serverCA.certificatePem + more });
      await tenant.writeSource("ConfigMap", "ca-client", {
        "ca.crt": clientCA.certificatePem + more,
      });
      await tenant.patchSpec({ hosts });
      await tenant.untilReady();
      await eventually(async () => {
        expect(await hostsOfRoute()).toEqual([...hosts].sort());
        const old = await api.list("Secret", GATEWAYS, "fairlead.dev/use=proxy-client");
        expect(old).toHaveLength(1);
      });

      await tenant.patchSpec({ loadBalancing: "L4" });
      await tenant.untilReady();
      await expectServer(`https://kube-apiserver.${TENANT}.svc`);
      await api.remove({ kind: "Service", namespace: TENANT, name: "etcd-main-client" });
      await api.create(service(TENANT, "etcd-main-client"));
      await tenant.patchSpec({ loadBalancing: "L7" });
      await tenant.untilReady();
    });

    it("mends what others change of its own", async () => {
      const ours = async (kind: Kind, inNamespace: string): Promise<AnyObject> => {
        const all = await api.list(kind, inNamespace, "app.kubernetes.io/managed-by=fairlead");
        const [found] = all;
        if (found === undefined) throw new Error(`there is no ${kind} of fairlead's`);
        return found;
      };
      const places: readonly (readonly [Kind, string])[] = [
        ["NetworkPolicy", TENANT],
        ["NetworkPolicy", GATEWAYS],
        ["EnvoyFilter", GATEWAYS],
      ];
      for (const [kind, inNamespace] of places) {
        const { metadata, spec } = await ours(kind, inNamespace);
        const ref: Ref = { kind, namespace: inNamespace, name: metadata.name ?? "" };
        const change =
          kind === "EnvoyFilter" ? { priority: 7 } : { podSelector: { matchLabels: { x: "y" } } };
        await api.patch(ref, { spec: change });
        await eventually(async () => {
          expect((await ours(kind, inNamespace)).spec).toEqual(spec);
        });
      }
    });

    it("sweeps what was made for one that is gone", async () => {
      // What was renewed before goes a while later.
      const [copy] = await eventually(async () => {
        const copies = await secretsFor(TENANT);
        expect(copies).toHaveLength(2);
        return copies;
      });
      const { labels, ownerReferences } = copy?.metadata ?? {};
      const orphan = secret(GATEWAYS, "orphan", { key: "value" });
      const metadata = { ...orphan.metadata, labels: { ...labels, "fairlead.dev/name": "gone" } };
      await api.create({ ...orphan, metadata: { ...metadata, ownerReferences } });

      const orphanRef: Ref = { kind: "Secret", namespace: GATEWAYS, name: "orphan" };
      await untilGone(orphanRef);
      expect(await secretsFor(TENANT)).toHaveLength(2);
    });

    it("takes it all away again", async () => {
      for (const place of [TENANT, GATEWAYS]) {
        const isolate: Ref = { kind: "NetworkPolicy", namespace: place, name: "isolate" };
        // What fairlead made beside it is owned by it, and the garbage collector may be faster where it is deleted.
        const count = await policiesIn(place);
        await api.patch(isolate, { spec: { policyTypes: ["Ingress"] } });
        await eventually(async () => {
          expect(await policiesIn(place)).toBe(count - 1);
        });
        await api.remove(isolate);
        await eventually(async () => {
          expect(await policiesIn(place)).toBe(0);
        });
      }
      await tenant.remove();
      const igw: Ref = { kind: "InternalGateway", namespace: GATEWAYS, name: "default" };
      await api.remove(igw);
      await untilGone(igw);
      const left = await api.list("Secret", GATEWAYS, "app.kubernetes.io/managed-by=fairlead");
      expect(left).toEqual([]);
    });

    it.each(["admission", "watch"] as const)("was refused nothing: %s", async (mode) => {
      expect(await refusalsOf(mode)).toEqual([]);
    });

    it("had use for every right", async () => {
      const used = new Set<string>();
      for (const mode of ["admission", "watch"] as const) {
        for (const event of await eventsOf(mode)) {
          for (const use of usesOf(mode, event)) used.add(use);
        }
      }
      const given = [...new Set(grants.flatMap(rightsOf))];
      const unused = given.filter((right) => !used.has(right));
      const isSeldom = (right: string): boolean =>
        seldomUsed.some(
          ({ process, verb, resource, place }) =>
            right === `${process} ${verb} ${resource} in ${place}`,
        );

      // Either process makes Pepr's store: the one that comes first.
      const [first, ...others] = unused.filter((right) => right.includes(" create peprstores."));
      expect(others).toEqual([]);
      expect(unused.filter((right) => right !== first && !isSeldom(right))).toEqual([]);
    });
  });

  describe("for listed namespaces alone", () => {
    const listed = "tenant-b";
    const unlisted = "tenant-c";
    const lists = { gatewayNamespaces: [GATEWAYS], controlPlaneNamespaces: [listed] };
    const restricted = restrictedInstallation(lists);
    const places = { gateways: [GATEWAYS], controlPlanes: [listed] };

    beforeAll(async () => {
      await fairlead?.stop();
      const { objects, env } = restricted;
      const kept = new Set(objects.map(nameOf));
      // As an upgrade takes away what is no longer part of the installation.
      const { kubectl } = speak(cluster);
      const dropped = manifestObjects().filter(
        (object) => object.kind.endsWith("Binding") && !kept.has(nameOf(object)),
      );
      await kubectl(["delete", "-f", "-"], dropped);
      await api.createAll([listed, unlisted, "other-ingress"].map((name) => namespace(name)));
      since = new Date();
      await run(await installHardened(cluster, objects), env);
      await api.createAll([
        internalGateway(GATEWAYS),
        internalGateway("other-ingress"),
        ...tenantObjects(unlisted, await makeTenantKeys(unlisted)).slice(1),
      ]);
      tenant = await newTenant(listed);
    });

    it("says of every object elsewhere that its namespace is not listed", async () => {
      const message = `fairlead is restricted to listed namespaces, and ${unlisted} is not in FAIRLEAD_CONTROL_PLANE_NAMESPACES: nothing is read or written there, and what was made stays as it is. Add it to the chart's rbac.controlPlaneNamespaces.`;
      const said = { status: "False", reason: "NamespaceNotListed" };
      for (const type of ["Accepted", "CredentialsSynced", "Programmed"]) {
        await untilCondition(api, { namespace: unlisted }, { ...said, type, message });
      }
      await untilCondition(api, { namespace: unlisted }, { ...said, type: "Ready" });
      await eventually(async () => {
        const ref: Ref = { kind: "InternalGateway", namespace: "other-ingress", name: "default" };
        const { Accepted, Programmed } = conditionsOf(await api.get(ref));
        expect([Accepted?.reason, Programmed?.reason]).toEqual([said.reason, said.reason]);
      });
      expect(await secretsFor(unlisted)).toEqual([]);

      const hapi: Ref = { kind: "HostedAPIServer", namespace: unlisted, name: "main" };
      await api.remove(hapi);
      await untilGone(hapi);
    });

    it("takes a tenant through its life", async () => {
      await api.createAll([
        secret(listed, "generic", { kubeconfig: kubeconfigText(tenant.caPem) }),
        service(listed, "etcd-main-client"),
      ]);
      await tenant.untilReady();
      await expectServer(`https://${tenant.host}`);
      await eventually(async () => {
        expect(await hostsOfRoute()).toEqual([tenant.host]);
        const { body } = await api.tryToCreate(routedPod(listed, "routed"));
        const { hostAliases } = body.spec as { hostAliases?: { hostnames: string[] }[] };
        expect(hostAliases?.map(({ hostnames }) => hostnames)).toEqual([[tenant.host]]);
      });

      await tenant.patchSpec({ loadBalancing: "L4" });
      await tenant.untilReady();
      await expectServer(`https://kube-apiserver.${listed}.svc`);
      await tenant.patchSpec({ loadBalancing: "L7" });
      await tenant.untilReady();
      await expectServer(`https://${tenant.host}`);

      await tenant.remove();
      await eventually(async () => {
        expect(await secretsFor(listed)).toEqual([]);
        expect(await hostsOfRoute()).toBeUndefined();
      });
    });

    it("has the webhook called for them alone", async () => {
      await eventually(async () => {
        const { webhooks } = await api.get({
          kind: "MutatingWebhookConfiguration",
          name: "pepr-fairlead",
        });
        const [webhook] = webhooks as { namespaceSelector: { matchExpressions: object[] } }[];
        expect(webhook?.namespaceSelector.matchExpressions).toContainEqual({
          key: "kubernetes.io/metadata.name",
          operator: "In",
          values: [listed],
        });
      });
    });

    it.each(["admission", "watch"] as const)(
      "was refused nothing, and asked for nothing elsewhere: %s",
      async (mode) => {
        expect(await refusalsOf(mode)).toEqual([]);

        const own = ["hostedapiservers", "internalgateways"];
        const cluster = ["nodes", "namespaces", "customresourcedefinitions"];
        // A review is about fairlead itself: whether it has the rights that policies take.
        const reviews = ["selfsubjectaccessreviews"];
        const known = new Set([...own, ...cluster, "mutatingwebhookconfigurations", ...reviews]);
        const inside = [GATEWAYS, listed, "pepr-system", "default"];
        const elsewhere = (await eventsOf(mode)).filter(
          ({ objectRef: { resource, namespace: place } = {} }) =>
            resource !== undefined && !known.has(resource) && !inside.includes(place ?? ""),
        );
        expect(elsewhere.map(({ verb, requestURI }) => `${verb} ${requestURI}`)).toEqual([]);
      },
    );

    it.each([GATEWAYS, listed, unlisted])(
      "has the rights in %s that are documented",
      async (inNamespace) => {
        for (const account of ["fairlead-admission", "fairlead-watch"]) {
          const documented = documentedRights(account, inNamespace, places);
          const about = { namespace: inNamespace, documented };
          expect(await listedRights(cluster, account, about)).toEqual(documented);
        }
      },
    );

    it("goes on where a listed namespace is gone or can't be read, and says so there", async () => {
      await fairlead?.stop();
      const all = [listed, unlisted, "nowhere"].join(",");
      const { objects, env } = restricted;
      // The rights are those of before: two of these have no RoleBindings.
      await run(await installHardened(cluster, objects), {
        ...env,
        FAIRLEAD_CONTROL_PLANE_NAMESPACES: all,
      });
      const spec = { certificates: issuedCertificates };
      await api.createAll([listed, unlisted].map((name) => hostedAPIServer(name, "main", spec)));

      const synced = { type: "CredentialsSynced", status: "True", reason: "Synced" };
      await untilCondition(api, { namespace: listed }, synced);
      const refused = { type: "Accepted", status: "False", reason: "ReadRefused" };
      const hapi = await untilCondition(api, { namespace: unlisted }, refused);
      const where = `in the namespace "${unlisted}"`;
      expect(conditionsOf(hapi).Accepted?.message).toContain(where);
      // The condition is the watch process'; the admission process, and whoever calls it, hear of it for themselves.
      await eventually(async () =>
        expect(api.tryToCreate(routedPod(unlisted, "routed"))).rejects.toThrow(where),
      );

      for (const [role, account] of [
        ["fairlead-watch-namespace", "fairlead-watch"],
        ["fairlead-control-plane-namespace", "fairlead-watch"],
        ["fairlead-admission-routes", "fairlead-admission"],
      ] as const) {
        const binding = ["create", "rolebinding", role, `--clusterrole=${role}`];
        const to = [`--serviceaccount=pepr-system:${account}`, `--namespace=${unlisted}`];
        await speak(cluster).kubectl([...binding, ...to]);
      }
      await untilCondition(api, { namespace: unlisted }, synced);
      await eventually(async () => {
        expect((await api.tryToCreate(routedPod(unlisted, "routed"))).code).toBe(201);
      });
    });
  });
});
