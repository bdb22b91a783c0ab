import {
  decideKubeconfigSecret,
  kubeconfigServerOf,
  pointKubeconfig,
  type KubeconfigTarget,
} from "../../../capabilities/exposure/resources";
import type { HostedAPIServer, InternalGateway, KubernetesObject } from "../../../lib/api";
import { parseCertificates, type Certificate } from "../../../lib/domain/certificates";
import type { CaseAdapter, Given } from "../runner";

function servedChainOf({ world }: Given): readonly Certificate[] {
  const served = world.servedChain;
  if (typeof served !== "string") return [];
  const parsed = parseCertificates(served);
  if (parsed.kind === "malformed") throw new Error(`given.yaml: servedChain ${parsed.message}`);
  return parsed.certificates;
}

function targetOf(given: Given): KubeconfigTarget {
  const world = given.world as { readonly server?: string; readonly now?: string };
  return {
    server: world.server ?? "https://api.tenant-a.example.com",
    servedChain: servedChainOf(given),
    nowMs: Date.parse(world.now ?? "2026-11-21T12:00:00Z"),
  };
}

/** A Secret with its values in plain text, so that a case can be read. */
interface PlainSecret extends KubernetesObject {
  readonly immutable?: boolean;
  readonly stringData?: Readonly<Record<string, string>>;
}

const recode = (
  values: Readonly<Record<string, string>>,
  from: BufferEncoding,
  to: BufferEncoding,
): Record<string, string> =>
  Object.fromEntries(
    Object.entries(values).map(([key, value]) => [key, Buffer.from(value, from).toString(to)]),
  );

function runSecret(given: Given, { stringData = {}, ...secret }: PlainSecret): unknown {
  const decision = decideKubeconfigSecret(
    { ...secret, data: recode(stringData, "utf8", "base64") },
    targetOf(given),
  );
  if (decision.kind === "keep") return decision;
  return { kind: "change", stringData: recode(decision.data, "base64", "utf8") };
}

function runServer({ objects }: Given, server: HostedAPIServer): unknown {
  const gateway = objects.find(({ kind }) => kind === "InternalGateway");
  if (gateway === undefined) throw new Error("given.yaml: the InternalGateway is missing.");
  return {
    L7: kubeconfigServerOf(server, gateway as InternalGateway, "L7"),
    L4: kubeconfigServerOf(server, gateway as InternalGateway, "L4"),
  };
}

/**
 * `when.yaml` is a kubeconfig as a text; or a Secret of kubeconfigs, with `stringData`; or the HostedAPIServer whose
 * kubeconfigs' servers are asked for. The World says the `server` to lead to, the `servedChain` there, and `now`.
 */
export const adapter: CaseAdapter = {
  capability: "kubeconfigs",
  kinds: ["InternalGateway"],
  worldKeys: ["server", "servedChain", "now"],
  run(given, when) {
    if (typeof when === "string") return pointKubeconfig(when, targetOf(given));
    const subject = when as KubernetesObject;
    if (subject.kind === "Secret") return runSecret(given, subject);
    return runServer(given, subject as HostedAPIServer);
  },
};
