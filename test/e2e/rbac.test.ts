import { grants, type Grant, type PolicyRule } from "../../deploy/objects/rbac";
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
import { installHardened, userOf } from "../harness/hardened";
import { decode, internalGateway, namespace, routedPod, secret, service } from "../harness/objects";
import { keepLogs, START_TIMEOUT_MS, untilCondition } from "../harness/stage";
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

/**
 * What a run may give no occasion for: where somebody else was first, what he made is looked at before it is believed to
 * be another's; what was made for a HostedAPIServer that is gone goes only after another look for that; and the
 * webhook's certificate is in files here, not in a Secret.
 */
const seldom = [
  "watch get destinationrules in *",
  "watch get envoyfilters in *",
  "watch get gateways in *",
  "watch get hostedapiservers in *",
  "watch get networkpolicies in *",
  "watch get services in *",
  "watch get virtualservices in *",
  "watch patch secrets in pepr-system",
  // Of an owner's whose Pods are stale; stale-pods.test.ts has one of each.
  "watch patch daemonsets in *",
  "watch patch deployments in *",
  "watch patch statefulsets in *",
];

function isolation(inNamespace: string): AnyObject {
  return {
    apiVersion: "networking.k8s.io/v1",
    kind: "NetworkPolicy",
    metadata: { name: "isolate", namespace: inNamespace },
    spec: { podSelector: {}, policyTypes: ["Ingress", "Egress"] },
  } as unknown as AnyObject;
}

/** `process verb resource[/subresource] in place`, for each right; place is a namespace or `*`. */
function rightsOf({ processes, rights, scope }: Grant): readonly string[] {
  const places =
    typeof scope === "object" ? scope.namespace : scope === "gateways" ? GATEWAYS : "*";
  const what = ({ resources = [], verbs }: PolicyRule): readonly string[] =>
    verbs.flatMap((verb) => resources.map((resource) => `${verb} ${resource}`));
  return processes.flatMap(({ mode }) =>
    rights.flatMap(({ rule }) => what(rule)).map((right) => `${mode} ${right} in ${places}`),
  );
}

/** What a request has made use of: the right in its namespace, or in all. */
function usesOf(mode: string, { verb, objectRef, responseStatus }: AuditEvent): readonly string[] {
  if (objectRef?.resource === undefined) return [];
  const { resource, subresource, namespace: inNamespace } = objectRef;
  // An apply that makes an object needs the right to create it, too.
  const isMade = verb === "patch" && responseStatus?.code === 201;
  const verbs = isMade ? [verb, "create"] : [verb];
  const kind = subresource === undefined ? resource : `${resource}/${subresource}`;
  return verbs.flatMap((each) =>
    [inNamespace ?? "*", "*"].map((place) => `${mode} ${each} ${kind} in ${place}`),
  );
}

describeDataPlane("fairlead with the manifest's rights", () => {
  let cluster: EmbeddedCluster;
  let api: Api;
  let plane: DataPlane;
  let fairlead: Fairlead | undefined;
  let tenant: ExposedTenant;
  const route: Ref = {
    kind: "ConfigMap",
    namespace: TENANT,
    name: "istio-internal-load-balancing",
  };
  const kubeconfig: Ref = { kind: "Secret", namespace: TENANT, name: "generic" };

  const eventsOf = async (mode: "admission" | "watch"): Promise<readonly AuditEvent[]> =>
    cluster.auditEvents({ user: userOf(mode) });

  const serverIn = async (): Promise<string | undefined> => {
    const { kubeconfig: text = "" } = decode(await api.get(kubeconfig));
    return /server: (\S+)/.exec(text)?.[1];
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
    const hardened = await installHardened(cluster);
    fairlead = await startFairlead(hardened, {
      dataPlane: plane,
      env: { FAIRLEAD_DRAIN_SECONDS: "1", FAIRLEAD_GRACE_SECONDS: "1" },
    });
    await api.createAll([internalGateway(GATEWAYS), isolation(GATEWAYS), namespace("other")]);
    tenant = await addTenant(
      { api, plane },
      {
        name: TENANT,
        replicaZones: ["zone-1"],
        spec: {
          clients: { kubeconfigSecrets: ["generic"], restartStalePods: true },
          topologyAware: { enabled: true },
        },
      },
    );
  }, START_TIMEOUT_MS);

  afterAll(async () => {
    api.close();
    await fairlead?.stop();
    if (fairlead !== undefined) keepLogs(cluster, fairlead);
    await plane.stop();
    await cluster.stop();
  });

  it("brings a tenant to Ready, with its kubeconfig, policies and Services", async () => {
    const ca = Buffer.from(tenant.caPem).toString("base64");
    const text = [
      "apiVersion: v1",
      "kind: Config",
      "current-context: main",
      "contexts: [{name: main, context: {cluster: main, user: main}}]",
      "users: [{name: main, user: {token: none}}]",
      "clusters:",
      "- name: main",
      "  cluster:",
      "    server: https://elsewhere.example.com",
      `    certificate-authority-data: ${ca}`,
      "",
    ].join("\n");
    await api.createAll([
      secret(TENANT, "generic", { kubeconfig: text }),
      isolation(TENANT),
      service(TENANT, "etcd-main-client"),
    ]);
    await tenant.untilReady();
    // Admission led it nowhere, so it is stale from now on, and its owners are looked for.
    const { metadata, ...pod } = routedPod(TENANT, "stale");
    await api.create({ ...pod, metadata: { ...metadata, labels: { [ROUTE]: "false" } } });
    const labels = { [ROUTE]: "true" };
    await api.patch({ kind: "Pod", namespace: TENANT, name: "stale" }, { metadata: { labels } });

    await eventually(async () => {
      expect(await serverIn()).toBe(`https://${tenant.host}`);
      expect(await policiesIn(TENANT)).toBeGreaterThan(0);
      expect(await policiesIn(GATEWAYS)).toBeGreaterThan(0);
    });
    const { name } = tenant.ref;
    await untilCondition(
      api,
      { namespace: TENANT, name },
      { type: "PodsUpToDate", reason: "LeftAlone" },
    );
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
      const { data } = await api.get(route);
      expect(data?.hosts?.split(",")).toEqual([...hosts].sort());
      const old = await api.list("Secret", GATEWAYS, "fairlead.dev/use=proxy-client");
      expect(old).toHaveLength(1);
    });

    await tenant.patchSpec({ loadBalancing: "L4" });
    await tenant.untilReady();
    await eventually(async () => {
      expect(await serverIn()).toBe(`https://kube-apiserver.${TENANT}.svc`);
    });
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

  it("takes it all away again", async () => {
    for (const place of [TENANT, GATEWAYS]) {
      await api.remove({ kind: "NetworkPolicy", namespace: place, name: "isolate" });
      await eventually(async () => {
        expect(await policiesIn(place)).toBe(0);
      });
    }
    await api.remove(tenant.ref);
    await untilGone(tenant.ref);
    const igw: Ref = { kind: "InternalGateway", namespace: GATEWAYS, name: "default" };
    await api.remove(igw);
    await untilGone(igw);
    const left = await api.list("Secret", GATEWAYS, "app.kubernetes.io/managed-by=fairlead");
    expect(left).toEqual([]);
  });

  it.each(["admission", "watch"] as const)("was refused nothing: %s", async (mode) => {
    const events = await eventsOf(mode);
    const refused = events
      .filter(({ responseStatus }) => responseStatus?.code === 403)
      .map(({ verb, requestURI }) => `${verb} ${requestURI}`);

    expect(events.length).toBeGreaterThan(20);
    expect([...new Set(refused)]).toEqual([]);
  });

  it("had use for every right", async () => {
    const used = new Set<string>();
    for (const mode of ["admission", "watch"] as const) {
      for (const event of await eventsOf(mode)) {
        for (const use of usesOf(mode, event)) used.add(use);
      }
    }
    const given = [...new Set(grants.flatMap(rightsOf))];
    const unused = given.filter((right) => !used.has(right) && !seldom.includes(right));

    // Either process makes Pepr's store: the one that comes first.
    const [first, ...others] = unused.filter((right) => right.includes(" create peprstores "));
    expect(others).toEqual([]);
    expect(unused.filter((right) => right !== first)).toEqual([]);
    expect(seldom.filter((right) => !given.includes(right))).toEqual([]);
  });
});
