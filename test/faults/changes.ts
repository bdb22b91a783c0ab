import { createCA } from "../cluster";
import { Refusal, type Ref } from "../harness/api";
import { encode } from "../harness/objects";
import { issueServer, tenantObjects } from "../harness/tenant";
import type { FaultStage } from "./stage";

// What people do while faults happen.

/** A change that somebody makes, of a tenant; nothing where it is not there just now. */
export type Change = (stage: FaultStage, tenant: string) => Promise<void>;

const ref = (kind: Ref["kind"], namespace: string, name: string): Ref => ({
  kind,
  namespace,
  name,
});

/** Writes into a Secret, by texts. */
export async function setSecret(
  { api }: Pick<FaultStage, "api">,
  place: { readonly namespace: string; readonly name: string },
  values: Readonly<Record<string, string>>,
): Promise<void> {
  await api.patch({ kind: "Secret", ...place }, { data: encode(values) });
}

const renewServer: Change = async (stage, tenant) => {
  const { certificatePem, privateKeyPem } = await issueServer(
    stage.keysOf(tenant).serverCA,
    tenant,
  );
  await setSecret(
    stage,
    { namespace: tenant, name: "kube-apiserver" },
    { "tls.crt": certificatePem, "tls.key": privateKeyPem },
  );
};

const changeClientCA: Change = async ({ api }, tenant) => {
  const { certificatePem } = await createCA({ commonName: "clients" });
  await api.patch(ref("ConfigMap", tenant, "ca-client"), { data: { "ca.crt": certificatePem } });
};

const changeServerCA: Change = async (stage, tenant) => {
  const { certificatePem } = await createCA({ commonName: "kubernetes" });
  await setSecret(stage, { namespace: tenant, name: "ca" }, { "ca.crt": certificatePem });
};

const changeFrontProxyCA: Change = async (stage, tenant) => {
  const { certificatePem, privateKeyPem } = await createCA({ commonName: "front-proxy" });
  await setSecret(
    stage,
    { namespace: tenant, name: "ca-front-proxy" },
    { "ca.crt": certificatePem, "ca.key": privateKeyPem },
  );
};

function patchSpec(spec: object): Change {
  return async ({ api }, tenant) => {
    try {
      await api.patch(ref("HostedAPIServer", tenant, "main"), { spec });
    } catch (error) {
      if (!(error instanceof Refusal && error.code === 404)) throw error;
    }
  };
}

const removeServer: Change = async ({ api }, tenant) =>
  api.remove(ref("HostedAPIServer", tenant, "main"));

const addServer: Change = async (stage, tenant) => {
  const { api } = stage;
  const objects = tenantObjects(tenant, stage.keysOf(tenant));
  const hapi = objects.find(({ kind }) => kind === "HostedAPIServer");
  const there = await api.find(ref("HostedAPIServer", tenant, "main"));
  if (hapi !== undefined && there === undefined) await api.create(hapi);
};

/** All kinds of changes. */
export const changes = {
  renewServer,
  changeClientCA,
  changeServerCA,
  changeFrontProxyCA,
  switchToL4: patchSpec({ loadBalancing: "L4" }),
  switchToL7: patchSpec({ loadBalancing: "L7" }),
  setTopologyAware: patchSpec({ topologyAware: { enabled: true } }),
  unsetTopologyAware: patchSpec({ topologyAware: { enabled: false } }),
  removeServer,
  addServer,
} satisfies Readonly<Record<string, Change>>;

/** Makes changes at random, one after another, of tenants at random. */
export async function churn(
  stage: FaultStage,
  {
    count,
    tenants,
    random,
  }: {
    readonly count: number;
    readonly tenants: readonly string[];
    /** From 0 to 1. */
    readonly random: () => number;
  },
): Promise<void> {
  const pick = <T>(of: readonly T[]): T => {
    const one = of[Math.floor(random() * of.length)];
    if (one === undefined) throw new RangeError("there is nothing to choose from");
    return one;
  };
  for (let done = 0; done < count; done += 1) {
    await pick(Object.values<Change>(changes))(stage, pick(tenants));
  }
}
