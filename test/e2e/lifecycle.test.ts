import { mkdirSync, symlinkSync } from "node:fs";
import { join, resolve } from "node:path";
import execa from "execa";
import { webhookRules } from "../../lib/domain/webhook";
import type { AnyObject } from "../harness/api";
import { eventually, settled } from "../harness/eventually";
import { firstRelease } from "../harness/first-release";
import { builtInstallation, helm } from "../harness/installation";
import { contents } from "../harness/inventory";
import {
  routedAliases,
  setNodeStage,
  SYSTEM,
  unscheduledPod,
  type NodeStage,
} from "../harness/node-stage";
import { internalGateway, namespace } from "../harness/objects";
import { START_TIMEOUT_MS, untilCondition } from "../harness/stage";
import { makeTenantKeys, tenantObjects } from "../harness/tenant";
import { describeProcessNode } from "./data-plane-choice";
import { LARGE_CASES_VERSION } from "./versions";

// docs/install.md, word for word: each way to install makes Pods that run, serve and are gone in the end without a trace.

jest.setTimeout(600_000);

const root = resolve(__dirname, "../..");
const built = builtInstallation();
const GATEWAY = "istio-ingress";
const TENANT = "tenant";
const DEFINITIONS = [
  "hostedapiservers.fairlead.dev",
  "internalgateways.fairlead.dev",
  "peprstores.pepr.dev",
];
const patience = { timeoutMs: 120_000, pollMs: 500 };

describeProcessNode("an installation", () => {
  let stage: NodeStage;
  let before: Readonly<Record<string, string>>;

  const kubectl = async (...args: readonly string[]): Promise<string> => stage.kubectl(args);

  const expectServing = async (name: string): Promise<void> => {
    await stage.untilRolledOut();
    const aliases = await routedAliases(stage.api);
    // An API server may have heard of the webhook, and of its CA, a moment later than the Pods served by it.
    await eventually(async () => {
      const { body } = await stage.api.tryToCreate(unscheduledPod(name));
      expect(body.spec?.hostAliases).toEqual(aliases);
    }, patience);
  };

  /** What users make: a gateway's and a control plane's consent, of which fairlead makes Secrets. */
  const makeUse = async (): Promise<void> => {
    const keys = await makeTenantKeys(TENANT);
    // The API server may not serve the new kinds yet.
    await eventually(async () => stage.api.list("HostedAPIServer"));
    await eventually(async () => stage.api.create(internalGateway(GATEWAY)));
    await stage.api.createAll(tenantObjects(TENANT, keys));
    const expected = { type: "CredentialsSynced", status: "True" };
    await untilCondition(stage.api, { namespace: TENANT }, expected);
  };
  const madeSecrets = async (): Promise<readonly unknown[]> => {
    const owned = "app.kubernetes.io/managed-by=fairlead";
    const secrets = await stage.api.list("Secret", GATEWAY, owned);
    return secrets.map(({ metadata, data }) => [metadata.name, metadata.uid, data]);
  };
  const deleteUse = async (): Promise<void> => {
    await kubectl("delete", "hostedapiservers", "--all", "--all-namespaces");
    await kubectl("delete", "internalgateways", "--all", "--all-namespaces");
  };
  const deleteTenant = async (): Promise<void> => {
    await kubectl("delete", "namespace", TENANT);
  };

  /** Nothing is there that was not there before, and nothing is missing or changed. */
  const expectAsBefore = async (): Promise<void> =>
    eventually(async () => {
      expect(await contents(stage.api)).toEqual(before);
    }, patience);

  beforeAll(async () => {
    // Long enough to build Helm.
    await helm(["version"]);
    stage = await setNodeStage(LARGE_CASES_VERSION);
    await stage.api.create(namespace(GATEWAY));
    before = await settled(async () => contents(stage.api), { quietMs: 2_000 });
  }, START_TIMEOUT_MS);
  afterAll(async () => {
    await stage.stop();
  });

  it("of the first release is upgraded, and keeps what users made and what was made for them", async () => {
    const first = await firstRelease();
    await stage.kubectl(["apply", "-f", "-"], first);
    await expectServing("first-release");
    await makeUse();
    const definition = {
      kind: "CustomResourceDefinition",
      name: "internalgateways.fairlead.dev",
    } as const;
    const [uidOf, schemaOf] = [
      ({ metadata }: AnyObject) => metadata.uid,
      ({ spec }: AnyObject) => JSON.stringify(spec),
    ];
    const old = {
      gateway: uidOf(
        await stage.api.get({ kind: "InternalGateway", namespace: GATEWAY, name: "default" }),
      ),
      schema: schemaOf(await stage.api.get(definition)),
      secrets: await madeSecrets(),
    };
    expect(old.secrets.length).toBeGreaterThan(0);

    await stage.kubectl(["delete", "-f", "-"], first);
    await kubectl("apply", "--validate=strict", "-f", built.manifest);
    await expectServing("upgraded");
    expect(schemaOf(await stage.api.get(definition))).not.toBe(old.schema);
    expect(
      uidOf(await stage.api.get({ kind: "InternalGateway", namespace: GATEWAY, name: "default" })),
    ).toBe(old.gateway);
    await untilCondition(
      stage.api,
      { namespace: TENANT },
      { type: "CredentialsSynced", status: "True" },
    );
    expect(await madeSecrets()).toEqual(old.secrets);
  });

  it("with kubectl is gone without a trace", async () => {
    await deleteUse();
    await kubectl("delete", "-f", built.manifest);
    await deleteTenant();

    await expectAsBefore();
  });

  it("that went before what users made is made again, and then goes in good order", async () => {
    await kubectl("apply", "-f", built.manifest);
    await expectServing("again");
    await makeUse();
    await kubectl("delete", "namespace", SYSTEM);
    await kubectl("delete", "-f", built.manifest, "--ignore-not-found", "--wait=false");
    await eventually(async () => {
      const [left] = await stage.api.list("HostedAPIServer", TENANT);
      expect(left?.metadata.deletionTimestamp).toBeDefined();
    });

    await kubectl("apply", "-f", built.manifest);
    await stage.untilRolledOut();
    await kubectl(
      "wait",
      "--for=delete",
      "--timeout=120s",
      ...DEFINITIONS.slice(0, 2).map((name) => `crd/${name}`),
    );
    await kubectl("delete", "-f", built.manifest, "--ignore-not-found");
    await deleteTenant();
    await expectAsBefore();
  });

  it("with Helm serves, and is gone without a trace", async () => {
    const run = async (...args: readonly string[]): Promise<void> => {
      const { exitCode, stderr } = await helm(args, stage.cluster);
      if (exitCode !== 0) throw new Error(`helm ${args.join(" ")}: ${stderr}`);
    };
    await run("install", "fairlead", built.archive, "--namespace=default");
    await expectServing("helm");
    await makeUse();

    await deleteUse();
    await run("uninstall", "fairlead", "--namespace=default");
    await kubectl("delete", "crd", ...DEFINITIONS);
    await deleteTenant();
    await expectAsBefore();
  });

  it("with npx pepr deploy has the same webhook, serves, and is gone without a trace", async () => {
    // In a checkout of its own, since it builds.
    const checkout = join(stage.cluster.directory, "checkout");
    mkdirSync(checkout);
    for (const name of [
      "capabilities",
      "lib",
      "node_modules",
      "package.json",
      "pepr.ts",
      "tsconfig.json",
    ]) {
      symlinkSync(join(root, name), join(checkout, name));
    }
    const env = { KUBECONFIG: stage.cluster.kubeconfigPath };
    const deployed = await execa("npx", ["pepr", "deploy", "--yes"], { cwd: checkout, env });
    expect(deployed.stdout).toContain("Module deployed successfully");

    await expectServing("pepr");
    const configuration = { kind: "MutatingWebhookConfiguration", name: "pepr-fairlead" } as const;
    await eventually(async () => {
      const { webhooks } = await stage.api.get(configuration);
      const wanted = { failurePolicy: "Fail", ...webhookRules() };
      expect(webhooks).toEqual([expect.objectContaining(wanted)]);
    });
    await makeUse();
    await deleteUse();
    await kubectl("delete", "-f", built.peprManifest);
    await kubectl("delete", "crd", ...DEFINITIONS);
    await deleteTenant();
    await expectAsBefore();
  });
});
