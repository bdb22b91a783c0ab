import { readFileSync } from "node:fs";
import { startCluster, type EmbeddedCluster } from "../cluster";
import { Api, Refusal, type AnyObject, type Ref } from "../harness/api";
import { documentedRights, listedRights } from "../harness/documented-rights";
import { eventually } from "../harness/eventually";
import { startFairlead, type Fairlead } from "../harness/fairlead";
import { installHardened, restrictedInstallation, userOf } from "../harness/hardened";
import { builtInstallation, helm, readObjects } from "../harness/installation";
import { hostedAPIServer, internalGateway, namespace, node, service } from "../harness/objects";
import { conditionsOf, keepLogs, START_TIMEOUT_MS } from "../harness/stage";
import { makeTenantKeys, tenantObjects } from "../harness/tenant";
import { LARGE_CASES_VERSION } from "./versions";

jest.setTimeout(240_000);

const GATEWAYS = "istio-ingress";
const places = { gateways: [GATEWAYS], controlPlanes: undefined };

interface Rule {
  readonly resources?: readonly string[];
  readonly verbs: readonly string[];
}
type Role = AnyObject & { readonly rules: readonly Rule[] };

/** A right that is taken away. */
interface Missing {
  readonly process: "admission" | "watch";
  readonly role: string;
  readonly verb: string;
  readonly resource: string;
}

describe("the chart's restricted mode", () => {
  const isRight = ({ kind }: AnyObject): boolean => /Role|ServiceAccount/.test(kind);
  const nameOf = ({ kind, metadata }: AnyObject): string =>
    [kind, metadata.namespace ?? "", metadata.name].join("/");
  const sorted = (objects: readonly AnyObject[]): readonly AnyObject[] =>
    objects.filter(isRight).sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));

  it("gives the rights that are tested", async () => {
    const flags = ["rbac.restricted=true", "rbac.controlPlaneNamespaces={tenant-a,tenant-b}"];
    const { stdout } = await helm([
      "template",
      builtInstallation().chart,
      ...flags.flatMap((flag) => ["--set", flag]),
    ]);
    const { objects } = restrictedInstallation({
      gatewayNamespaces: [GATEWAYS],
      controlPlaneNamespaces: ["tenant-a", "tenant-b"],
    });

    expect(sorted(readObjects(stdout))).toEqual(sorted(objects));
  });

  it("is refused where no namespaces are listed, since that would be all of them", async () => {
    const args = ["template", builtInstallation().chart, "--set", "rbac.restricted=true"];
    const { exitCode, stderr } = await helm(args);

    expect(exitCode).not.toBe(0);
    expect(stderr).toContain("/rbac/controlPlaneNamespaces");
  });
});

describe("with the manifest's rights", () => {
  let cluster: EmbeddedCluster;
  let api: Api;
  let fairlead: Fairlead;

  beforeAll(async () => {
    cluster = await startCluster({ version: LARGE_CASES_VERSION, controllerManager: "run" });
    api = new Api(cluster);
    await api.createAll([node("node-1", "zone-1"), node("node-2", "zone-2"), namespace(GATEWAYS)]);
    fairlead = await startFairlead(await installHardened(cluster));
    await api.create(internalGateway(GATEWAYS));
  }, START_TIMEOUT_MS);
  afterAll(async () => {
    api.close();
    await fairlead.stop();
    keepLogs(cluster, fairlead);
    await cluster.stop();
  });

  describe("kubectl auth can-i --list", () => {
    it.each(
      ["fairlead-admission", "fairlead-watch"].flatMap((account) =>
        [GATEWAYS, "kube-public", "pepr-system", "default"].map((name) => [account, name] as const),
      ),
    )("of %s in %s is what is documented", async (account, inNamespace) => {
      const documented = documentedRights(account, inNamespace, places);
      const listed = await listedRights(cluster, account, { namespace: inNamespace, documented });

      expect(documented.length).toBeGreaterThan(8);
      expect(listed).toEqual(documented);
    });
  });

  describe("a user whom a namespace's owner gave the role", () => {
    const hapi = hostedAPIServer("kube-public", "some", { loadBalancing: "L4" });
    const ref: Ref = { kind: "HostedAPIServer", namespace: "kube-public", name: "some" };

    const codeOf = async (write: Promise<unknown>): Promise<number> => {
      try {
        await write;
        return 200;
      } catch (error) {
        if (error instanceof Refusal) return error.code;
        throw error;
      }
    };

    it.each([
      ["view", { reads: 200, writes: 403 }],
      ["edit", { reads: 200, writes: 200 }],
      ["admin", { reads: 200, writes: 200 }],
    ])("%s has the rights on fairlead's kinds that go with it", async (role, expected) => {
      const user = `somebody-with-${role}`;
      const args = ["create", "rolebinding", user, `--clusterrole=${role}`, `--user=${user}`];
      await cluster.kubectl([...args, "--namespace=kube-public"]);
      const as = new Api(cluster, { user });
      try {
        await eventually(async () => {
          expect(await codeOf(as.list("HostedAPIServer", "kube-public"))).toBe(200);
        });
        expect(await codeOf(as.list("InternalGateway", "kube-public"))).toBe(expected.reads);
        expect(await codeOf(as.list("HostedAPIServer", "default"))).toBe(403);
        expect(await codeOf(as.create(hapi, "dryRun=All"))).toBe(expected.writes);
        await api.create(hapi);
        const labels = { metadata: { labels: { a: "b" } } };
        expect(await codeOf(as.patch(ref, labels, "?dryRun=All"))).toBe(expected.writes);
        expect(await codeOf(as.patch(ref, { status: {} }, "/status?dryRun=All"))).toBe(403);
        expect(await codeOf(as.tryToRemove(ref))).toBe(expected.writes);
        await api.remove(ref);
        // It may have a finalizer of fairlead's, and the next role's is of the same name.
        await eventually(async () => {
          expect(await api.find(ref)).toBeUndefined();
        });
      } finally {
        as.close();
      }
    });
  });

  describe("without the right to", () => {
    let tenants = 0;

    const ref = (name: string): Ref => ({ kind: "ClusterRole", name });

    /** Takes a right away for as long as something is tried. */
    const without = async (missing: Missing, attempt: () => Promise<void>): Promise<void> => {
      const { process, role: name, verb, resource } = missing;
      const { kind: _kind, ...whole } = (await api.get(ref(name))) as Role;
      const rules = whole.rules.flatMap((rule) => {
        const { resources = [], verbs } = rule;
        if (!resources.includes(resource)) return [rule];
        const others = resources.filter((each) => each !== resource);
        const fewer = verbs.filter((each) => each !== verb);
        return [
          { ...rule, resources: others },
          { ...rule, resources: [resource], verbs: fewer },
        ].filter((each) => each.resources.length > 0 && each.verbs.length > 0);
      });
      const patch = (to: readonly Rule[]) => api.patch(ref(name), { rules: to });
      const isThere = async (): Promise<boolean> => {
        const [kind = "", subresource = ""] = resource.split("/");
        const args = ["auth", "can-i", verb, kind, `--subresource=${subresource}`];
        const as = [`--as=${userOf(process)}`, `--namespace=${GATEWAYS}`];
        const { stdout } = await cluster.kubectl([...args, ...as]);
        return stdout.trim() === "yes";
      };
      await patch(rules);
      try {
        await eventually(async () => {
          expect(await isThere()).toBe(false);
        });
        await attempt();
      } finally {
        await patch(whole.rules);
      }
    };

    const newTenant = async (): Promise<string> => {
      tenants += 1;
      const name = `tenant-${tenants}`;
      await api.createAll(tenantObjects(name, await makeTenantKeys(name)));
      return name;
    };

    const expectSaid = async (about: Ref, type: string, words: readonly string[]): Promise<void> =>
      eventually(async () => {
        const condition = conditionsOf(await api.get(about))[type];
        expect(condition).toMatchObject({ status: "False" });
        expect(condition?.reason).toBe(words[0]);
        for (const word of words.slice(1)) expect(condition?.message).toContain(word);
      });

    const expectLogged = async (process: "admission" | "watch", text: string): Promise<void> =>
      eventually(() => {
        const log = readFileSync(fairlead[process].logPath, "utf8").replaceAll('\\"', '"');
        expect(log.includes(text) ? text : log.slice(-2_000)).toBe(text);
      });

    /** Starts a process anew, which may wait for what it has no right to see, looks at it, and ends it. */
    const withRestarted = async (
      process: "admission" | "watch",
      look: () => Promise<void>,
    ): Promise<void> => {
      await fairlead[process].stop();
      const started = fairlead[process].start().catch(() => undefined);
      await look();
      await fairlead[process].stop();
      await started;
    };

    afterAll(async () => {
      for (const each of [fairlead.admission, fairlead.watch]) {
        if (!each.isRunning()) await each.start();
      }
    });

    it("make Secrets beside the gateway, the HostedAPIServer says so, until it is given", async () => {
      const role = "fairlead-gateway-namespace";
      const missing = { process: "watch", role, verb: "create", resource: "secrets" } as const;
      let tenant = "";
      await without(missing, async () => {
        tenant = await newTenant();
        await expectSaid(
          { kind: "HostedAPIServer", namespace: tenant, name: "main" },
          "CredentialsSynced",
          [
            "WriteRefused",
            `cannot create resource "secrets" in API group "" in the namespace "${GATEWAYS}"`,
          ],
        );
      });

      await eventually(async () => {
        const hapi = await api.get({ kind: "HostedAPIServer", namespace: tenant, name: "main" });
        expect(conditionsOf(hapi).CredentialsSynced).toMatchObject({ reason: "Synced" });
      });
    });

    it("read the Secrets that it names, the HostedAPIServer says so", async () => {
      const role = "fairlead-watch-namespace";
      const missing = { process: "watch", role, verb: "get", resource: "secrets" } as const;
      await without(missing, async () => {
        const tenant = await newTenant();
        await expectSaid(
          { kind: "HostedAPIServer", namespace: tenant, name: "main" },
          "CredentialsSynced",
          [
            "ReadRefused",
            `cannot get resource "secrets" in API group "" in the namespace "${tenant}"`,
          ],
        );
      });
    });

    it("make the internal Service, the InternalGateway says so", async () => {
      const role = "fairlead-gateway-namespace";
      const missing = { process: "watch", role, verb: "create", resource: "services" } as const;
      const another = internalGateway(GATEWAYS, {
        selector: { app: "another" },
        serviceName: "another",
        port: { service: 443, target: 9444 },
      });
      const metadata = { ...another.metadata, name: "another" };
      await without(missing, async () => {
        await api.create({ ...another, metadata });
        await expectSaid(
          { kind: "InternalGateway", namespace: GATEWAYS, name: "another" },
          "Programmed",
          [
            "WriteRefused",
            `cannot create resource "services" in API group "" in the namespace "${GATEWAYS}"`,
          ],
        );
      });
    });

    it("change Services, an Event of the Service says so", async () => {
      const role = "fairlead-watch-namespace";
      const missing = { process: "watch", role, verb: "patch", resource: "services" } as const;
      await without(missing, async () => {
        const tenant = await newTenant();
        // Before the HostedAPIServer wants it topology-aware, so that admission leaves it to the watch.
        await api.create(service(tenant, "etcd-main-client"));
        await api.patch(
          { kind: "HostedAPIServer", namespace: tenant, name: "main" },
          { spec: { topologyAware: { enabled: true } } },
        );
        await eventually(async () => {
          const events = await api.list("Event", tenant);
          const told = events.filter(({ reason }) => reason === "WriteRefused");
          expect(told.map(({ message }) => message)).toEqual([
            expect.stringContaining(
              `cannot patch resource "services" in API group "" in the namespace "${tenant}"`,
            ),
          ]);
        });
      });
    });

    it("write conditions, the watch process says so in its log", async () => {
      const resource = "hostedapiservers/status";
      const missing = {
        process: "watch",
        role: "fairlead-watch",
        verb: "patch",
        resource,
      } as const;
      await without(missing, async () => {
        const tenant = await newTenant();
        await expectLogged(
          "watch",
          `cannot patch resource "hostedapiservers/status" in API group "fairlead.dev" in the namespace "${tenant}"`,
        );
      });
    });

    it.each<[string, Missing, string]>([
      [
        "list Secrets, the watch process says so in its log",
        {
          process: "watch",
          role: "fairlead-watch-namespace",
          verb: "list",
          resource: "secrets",
        },
        'cannot list resource "secrets" in API group "" at the cluster scope',
      ],
      [
        "watch Services, the watch process says so in its log",
        {
          process: "watch",
          role: "fairlead-watch-namespace",
          verb: "watch",
          resource: "services",
        },
        "the right to watch /api/v1/services is missing",
      ],
      [
        "list routes, the admission process says so in its log",
        {
          process: "admission",
          role: "fairlead-admission-routes",
          verb: "list",
          resource: "configmaps",
        },
        'cannot list resource "configmaps" in API group "" at the cluster scope',
      ],
      [
        "watch HostedAPIServers, the admission process says so in its log",
        {
          process: "admission",
          role: "fairlead-admission",
          verb: "watch",
          resource: "hostedapiservers",
        },
        "the right to watch /apis/fairlead.dev/v1alpha1/hostedapiservers is missing",
      ],
    ])("%s", async (_, missing, sentence) => {
      await without(missing, async () =>
        withRestarted(missing.process, async () => expectLogged(missing.process, sentence)),
      );
    });
  });
});
