import { isDeepStrictEqual } from "node:util";
import { dashboardJson } from "../../deploy/dashboard";
import { ruleGroups } from "../../deploy/objects/alerts";
import { startCluster, type EmbeddedCluster } from "../cluster";
import { Api, type AnyObject } from "../harness/api";
import { eventually } from "../harness/eventually";
import {
  builtInstallation,
  findObject,
  helm,
  manifestObjects,
  readObjects,
} from "../harness/installation";
import { internalGateway, namespace } from "../harness/objects";
import { START_TIMEOUT_MS } from "../harness/stage";
import { kubernetesVersionsUnderTest, LARGE_CASES_VERSION } from "./versions";

jest.setTimeout(300_000);

/** A look at all kinds takes a kubectl each, and a Namespace goes in several passes. */
const patience = { timeoutMs: 120_000 };

const built = builtInstallation();
/** Other values than the default ones, of kinds that a bare cluster has. */
const unusual = [
  "--set=image.pullSecrets[0].name=mirror,scheduling.nodeSelector.disk=ssd",
  "--set-string=settings.FAIRLEAD_GRACE_SECONDS=60",
  "--set=rbac.restricted=true,rbac.controlPlaneNamespaces={istio-ingress}",
  "--set=networkPolicy.hostedAPIServers[0].protocol=TCP",
  "--set=networkPolicy.hostedAPIServers[0].port=30000",
  "--set=networkPolicy.hostedAPIServers[0].endPort=32767",
];
const KEEP = "helm.sh/resource-policy";

/** What names an object. */
function nameOf({ kind, metadata }: AnyObject): string {
  return [kind, metadata.namespace ?? "", metadata.name ?? ""].join(" ");
}

async function kubectl(
  cluster: EmbeddedCluster,
  args: readonly string[],
  input?: string,
): Promise<{ readonly stdout: string; readonly stderr: string }> {
  const { exitCode, ...result } = await cluster.kubectl(args, input === undefined ? {} : { input });
  if (exitCode !== 0) throw new Error(`kubectl ${args.join(" ")}: ${result.stderr}`);
  return result;
}

async function runHelm(args: readonly string[], cluster?: EmbeddedCluster): Promise<string> {
  const { exitCode, stdout, stderr } = await helm(args, cluster);
  if (exitCode !== 0) throw new Error(`helm ${args.join(" ")}: ${stderr}`);
  return stdout;
}

/** All objects of the kinds that an installation has, but those that controllers make for themselves. */
async function inventory(cluster: EmbeddedCluster): Promise<readonly string[]> {
  const kinds = [...new Set(manifestObjects().map(({ kind }) => kind)), "Secret", "PriorityClass"];
  const names = await Promise.all(
    kinds.map(async (kind) => {
      const { stdout } = await kubectl(cluster, ["get", kind, "--all-namespaces", "-o", "name"]);
      return stdout.trim().split("\n");
    }),
  );
  const isControllers = /^(serviceaccount|configmap|secret)\/(?!.*(fairlead|pepr))/;
  return names
    .flat()
    .filter((name) => !isControllers.test(name))
    .sort();
}

/**
 * Whether nothing but the API server itself keeps a definition: it looks for its objects, and where their storage is
 * just being made, tries that again after 10 ms, or after minutes.
 */
async function isGoing(cluster: EmbeddedCluster, name: string): Promise<boolean> {
  if (!name.startsWith("customresourcedefinition.")) return false;
  const { stdout } = await kubectl(cluster, ["get", name, "--ignore-not-found", "-o", "json"]);
  if (stdout === "") return true;
  const { metadata } = JSON.parse(stdout) as AnyObject;
  const own = "customresourcecleanup.apiextensions.k8s.io";
  return metadata.deletionTimestamp !== undefined && isDeepStrictEqual(metadata.finalizers, [own]);
}

/** The Pod that a Deployment would make. */
function podOf(deployment: AnyObject, name: string): AnyObject {
  const { template } = deployment.spec as { template: AnyObject };
  const metadata = { ...template.metadata, name, namespace: "pepr-system" };
  return { ...template, apiVersion: "v1", kind: "Pod", metadata };
}

describe.each(kubernetesVersionsUnderTest())("fairlead.yaml on Kubernetes %s", (version) => {
  let cluster: EmbeddedCluster;
  let api: Api;
  let before: readonly string[];

  beforeAll(async () => {
    cluster = await startCluster({ version });
    api = new Api(cluster);
    await api.createAll([namespace("istio-ingress"), namespace("team")]);
    for (const role of ["view", "edit"]) {
      await kubectl(cluster, [
        "create",
        "rolebinding",
        role,
        `--clusterrole=fairlead-${role}`,
        `--user=${role}er`,
        "--namespace=team",
      ]);
    }
    before = await inventory(cluster);
  }, START_TIMEOUT_MS);
  afterAll(async () => {
    api.close();
    await cluster.stop();
  });

  const applyStrictly = async (...more: readonly string[]) =>
    kubectl(cluster, ["apply", "--validate=strict", ...more, "-f", built.manifest]);

  /** What changes with any write. */
  const versions = async () => {
    const { stdout } = await kubectl(cluster, ["get", "-o", "json", "-f", built.manifest]);
    return (JSON.parse(stdout) as { items: AnyObject[] }).items.map((object) => [
      nameOf(object),
      object.metadata.resourceVersion,
    ]);
  };

  it("is applied at once, with strict validation and without a warning", async () => {
    const { stdout, stderr } = await applyStrictly();

    expect(stderr).toBe("");
    expect(stdout.trim().split("\n")).toHaveLength(manifestObjects().length);
    expect(stdout).not.toMatch(/unchanged|configured/);
  });

  it("is the same when it is applied again, by the client or by the server", async () => {
    // At first the API server itself still writes the definitions' status.
    await eventually(async () => {
      const before = await versions();
      await applyStrictly();
      expect(await versions()).toEqual(before);
    });

    // The client's apply is another manager, and the API server leaves out what is empty in a schema.
    const { stdout } = await applyStrictly("--server-side", "--force-conflicts");
    expect(stdout).not.toContain("created");
  });

  it("has Pods that meet restricted Pod Security, and others are refused", async () => {
    const deployments = manifestObjects().filter(({ kind }) => kind === "Deployment");
    expect(deployments).toHaveLength(2);
    for (const deployment of deployments) {
      const pod = podOf(deployment, `${deployment.metadata.name ?? ""}-0`);
      const { warnings, body } = await api.tryToCreate(pod);
      expect(warnings).toEqual([]);
      expect(body.spec?.priority).toBe(2_000_000_000);
    }
    const [first] = deployments;
    const pod = podOf(first ?? ({} as AnyObject), "lax");
    const { spec, ...rest } = pod;
    const { securityContext: _securityContext, ...lax } = spec as Record<string, unknown>;

    await expect(api.tryToCreate({ ...rest, spec: lax })).rejects.toThrow(
      'violates PodSecurity "restricted:latest"',
    );
  });

  it("has policies whose expressions the API server finds nothing wrong with", async () => {
    for (const name of ["fairlead-guard-gateways", "fairlead-guard-writes"]) {
      const { status } = await api.get({ kind: "ValidatingAdmissionPolicy", name });
      expect((status as { typeChecking?: object } | undefined)?.typeChecking ?? {}).toEqual({});
    }
  });

  it("gives editors of a namespace fairlead's kinds, and viewers a look at them", async () => {
    const can = async (user: string, ...what: readonly string[]): Promise<string> => {
      const as = [`--as=${user}`, "--namespace=team"];
      const { stdout } = await cluster.kubectl(["auth", "can-i", ...what, ...as]);
      return stdout.trim();
    };

    expect(await can("viewer", "list", "hostedapiservers.fairlead.dev")).toBe("yes");
    expect(await can("viewer", "create", "hostedapiservers.fairlead.dev")).toBe("no");
    expect(await can("editer", "create", "internalgateways.fairlead.dev")).toBe("yes");
    const status = ["hostedapiservers.fairlead.dev", "--subresource=status"];
    expect(await can("editer", "patch", ...status)).toBe("no");
  });

  it("is gone with all that it brought", async () => {
    await kubectl(cluster, ["delete", "--wait=false", "-f", built.manifest]);

    await eventually(async () => {
      // A Namespace is ended by a controller, of which there is none here.
      const left = (await inventory(cluster)).filter((name) => !before.includes(name));
      const others = left.filter((name) => name !== "namespace/pepr-system");
      const going = await Promise.all(others.map(async (name) => isGoing(cluster, name)));
      expect(others.filter((_, index) => going[index] !== true)).toEqual([]);
    }, patience);
  });
});

describe("the chart", () => {
  const render = async (...args: readonly string[]) =>
    readObjects(await runHelm(["template", "fairlead", built.chart, ...args]));

  // Long enough to build Helm.
  beforeAll(async () => {
    await runHelm(["version"]);
  }, START_TIMEOUT_MS);

  it.each([built.chart, built.archive])(
    "has nothing that helm lint finds fault with: %s",
    async (path) => {
      const stdout = await runHelm(["lint", "--strict", path]);

      expect(stdout).toContain("0 chart(s) failed");
      expect(stdout).not.toMatch(/WARNING|ERROR/);
    },
  );

  it("renders to the manifest, object by object; only the definitions outlive a release", async () => {
    const manifest = new Map(manifestObjects().map((object) => [nameOf(object), object]));
    const rendered = new Map((await render()).map((object) => [nameOf(object), object]));

    expect([...rendered.keys()].sort()).toEqual([...manifest.keys()].sort());
    for (const [name, object] of rendered) {
      const { [KEEP]: keep, ...annotations } = object.metadata.annotations ?? {};
      const isDefinition = object.kind === "CustomResourceDefinition";
      expect([name, keep]).toEqual([name, isDefinition ? "keep" : undefined]);
      const metadata = { ...object.metadata, annotations };
      if (Object.keys(annotations).length === 0) Reflect.deleteProperty(metadata, "annotations");
      const bare = { ...object, metadata };
      expect([name, isDeepStrictEqual(bare, manifest.get(name))]).toEqual([name, true]);
    }
  });

  it("has a template for each value", async () => {
    const objects = await render(
      "--set=image.reference=mirror.example.com/pepr@sha256:abc,logLevel=debug",
      "--set=image.pullSecrets[0].name=mirror,admission.replicas=3,watch.replicas=2",
      "--set-string=settings.FAIRLEAD_GRACE_SECONDS=60",
      "--set=namespace.create=false,crds.install=false,networkPolicy.enabled=false",
      "--set=admissionPolicies.guardGateways=false,admissionPolicies.guardWrites=false",
      "--set=scheduling.criticalPodsQuota=false,scheduling.priorityClassName=mine",
      "--set=serviceMonitor.enabled=true,prometheusRule.enabled=true,grafanaDashboard.enabled=true",
      "--set=prometheusRule.labels.release=monitoring",
      "--set=rbac.gatewayNamespaces={one,two}",
    );
    const kinds = new Set(objects.map(({ kind }) => kind));
    for (const kind of [
      "Namespace",
      "CustomResourceDefinition",
      "NetworkPolicy",
      "ValidatingAdmissionPolicy",
      "ValidatingAdmissionPolicyBinding",
      "ResourceQuota",
    ]) {
      expect(kinds).not.toContain(kind);
    }
    const admission = findObject(objects, "Deployment", "pepr-fairlead");
    expect(admission.spec).toMatchObject({
      replicas: 3,
      template: {
        spec: {
          priorityClassName: "mine",
          imagePullSecrets: [{ name: "mirror" }],
          containers: [{ image: "mirror.example.com/pepr@sha256:abc" }],
        },
      },
    });
    expect(findObject(objects, "Deployment", "pepr-fairlead-watcher").spec?.replicas).toBe(2);
    expect(findObject(objects, "ConfigMap", "fairlead-settings").data).toEqual({
      FAIRLEAD_GRACE_SECONDS: "60",
    });
    const checksum = ({ spec }: AnyObject): unknown =>
      (spec as { template: AnyObject }).template.metadata.annotations;
    const plain = findObject(manifestObjects(), "Deployment", "pepr-fairlead");
    expect(checksum(admission)).not.toEqual(checksum(plain));
    expect(findObject(objects, "PrometheusRule", "fairlead").metadata.labels).toMatchObject({
      release: "monitoring",
    });
    expect(kinds).toContain("ServiceMonitor");
    const dashboard = findObject(objects, "ConfigMap", "fairlead-dashboard");
    expect(dashboard.metadata.labels).toMatchObject({ grafana_dashboard: "1" });
    expect(dashboard.data?.["fairlead.json"]).toBe(dashboardJson());
    expect(findObject(objects, "PrometheusRule", "fairlead").spec).toEqual({
      groups: ruleGroups(),
    });
    expect(
      objects
        .filter(
          ({ roleRef }) =>
            (roleRef as { name?: string } | undefined)?.name === "fairlead-gateway-namespace",
        )
        .map(({ metadata }) => metadata.namespace),
    ).toEqual(["one", "two"]);
  });

  it.each([
    ["a value that there is none of", "replicas=3"],
    ["a single replica", "admission.replicas=1"],
    ["a setting that is no text", "settings.FAIRLEAD_PORT=3000"],
    ["a setting of somebody else's", "settings.NODE_OPTIONS=x"],
    ["a namespace that is no name", "rbac.gatewayNamespaces={Istio}"],
  ])("takes no %s", async (_, assignment) => {
    const flag = assignment.startsWith("settings.FAIRLEAD_PORT") ? "--set-json" : "--set";
    const { exitCode, stderr } = await helm(["template", built.chart, flag, assignment]);

    expect(exitCode).not.toBe(0);
    expect(stderr).toContain("don't meet the specifications of the schema");
  });

  describe("of the restricted mode", () => {
    let objects: readonly AnyObject[];
    beforeAll(async () => {
      objects = await render(
        "--set=rbac.restricted=true,rbac.gatewayNamespaces={gateways}",
        "--set=rbac.controlPlaneNamespaces={tenant-b,tenant-a}",
      );
    });

    it("binds what is about namespaced kinds in the listed namespaces alone", () => {
      const bindings = objects
        .filter(({ kind }) => kind.endsWith("RoleBinding"))
        .map(({ metadata, roleRef }) =>
          [(roleRef as { name: string }).name, metadata.namespace ?? "*"].join(" in "),
        );

      expect(bindings.sort()).toEqual([
        "fairlead-admission in *",
        "fairlead-admission-routes in gateways",
        "fairlead-admission-routes in tenant-a",
        "fairlead-admission-routes in tenant-b",
        "fairlead-admission-system in pepr-system",
        "fairlead-api-servers in default",
        "fairlead-control-plane-namespace in tenant-a",
        "fairlead-control-plane-namespace in tenant-b",
        "fairlead-gateway-namespace in gateways",
        "fairlead-watch in *",
        "fairlead-watch-namespace in gateways",
        "fairlead-watch-namespace in tenant-a",
        "fairlead-watch-namespace in tenant-b",
        "fairlead-watch-system in pepr-system",
      ]);
      const secretReaders = objects
        .filter(({ rules }) => JSON.stringify(rules ?? "").includes('"secrets"'))
        .map(({ metadata }) => metadata.name);
      expect(secretReaders).not.toContain("fairlead-watch");
    });

    it("lets nothing of other namespaces reach the webhook", () => {
      const { webhooks } = findObject(objects, "MutatingWebhookConfiguration", "pepr-fairlead");
      const [webhook] = webhooks as { namespaceSelector: object }[];

      expect(webhook?.namespaceSelector).toEqual({
        matchExpressions: [
          {
            key: "kubernetes.io/metadata.name",
            operator: "NotIn",
            values: ["kube-system", "pepr-system"],
          },
          {
            key: "kubernetes.io/metadata.name",
            operator: "In",
            values: ["tenant-a", "tenant-b"],
          },
        ],
      });
    });

    it("tells both processes which namespaces they are", () => {
      for (const name of ["pepr-fairlead", "pepr-fairlead-watcher"]) {
        const { spec } = findObject(objects, "Deployment", name);
        const [container] = (spec as { template: { spec: { containers: { env: object[] }[] } } })
          .template.spec.containers;
        expect(container?.env).toEqual(
          expect.arrayContaining([
            { name: "FAIRLEAD_GATEWAY_NAMESPACES", value: "gateways" },
            { name: "FAIRLEAD_CONTROL_PLANE_NAMESPACES", value: "tenant-b,tenant-a" },
          ]),
        );
      }
    });
  });
});

describe("a release", () => {
  let cluster: EmbeddedCluster;
  let api: Api;
  let before: readonly string[];

  beforeAll(async () => {
    await runHelm(["version"]);
    cluster = await startCluster({ version: LARGE_CASES_VERSION, controllerManager: "run" });
    api = new Api(cluster);
    await api.create(namespace("istio-ingress"));
    before = await inventory(cluster);
  }, START_TIMEOUT_MS);
  afterAll(async () => {
    api.close();
    await cluster.stop();
  });

  it("is installed, upgraded with other values, and gone but for the definitions and users' objects", async () => {
    await runHelm(["install", "fairlead", built.archive, "--namespace=default"], cluster);
    const replicas = async (): Promise<string> =>
      (
        await kubectl(cluster, [
          "get",
          "deployment/pepr-fairlead",
          "--namespace=pepr-system",
          "--output=jsonpath={.spec.replicas}",
        ])
      ).stdout;
    expect(await replicas()).toBe("2");
    // Helm does not wait until definitions are served.
    await eventually(async () => api.create(internalGateway("istio-ingress")));

    const more = ["--namespace=default", "--set=admission.replicas=4"];
    await runHelm(["upgrade", "fairlead", built.archive, ...more], cluster);
    expect(await replicas()).toBe("4");

    const rendered = await runHelm(["template", "fairlead", built.archive, ...unusual]);
    const strictly = ["--validate=strict", "--server-side", "--force-conflicts"];
    const applied = await kubectl(
      cluster,
      ["apply", ...strictly, "--dry-run=server", "-f", "-"],
      rendered,
    );
    expect(applied.stderr).toBe("");

    await runHelm(["uninstall", "fairlead", "--namespace=default"], cluster);
    await eventually(async () => {
      const left = (await inventory(cluster)).filter((name) => !before.includes(name));
      expect(left).toEqual([
        "customresourcedefinition.apiextensions.k8s.io/hostedapiservers.fairlead.dev",
        "customresourcedefinition.apiextensions.k8s.io/internalgateways.fairlead.dev",
        "customresourcedefinition.apiextensions.k8s.io/peprstores.pepr.dev",
      ]);
    }, patience);
    expect(await api.list("InternalGateway")).toHaveLength(1);
  });

  it("takes over what kubectl has applied", async () => {
    await kubectl(cluster, ["apply", "-f", built.manifest]);
    const install = ["install", "fairlead", built.archive, "--namespace=default"];
    expect((await helm(install, cluster)).stderr).toContain("cannot be imported");
    await runHelm([...install, "--take-ownership"], cluster);

    await runHelm(["uninstall", "fairlead", "--namespace=default"], cluster);
    await eventually(async () => {
      const left = (await inventory(cluster)).filter((name) => !before.includes(name));
      expect(left.filter((name) => !name.startsWith("customresourcedefinition"))).toEqual([]);
    }, patience);
  });
});
