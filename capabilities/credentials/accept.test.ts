import type { HostedAPIServer, InternalGateway, KubernetesObject } from "../../lib/api";
import { acceptanceWorld } from "../../test/credentials/simulation";
import { decideAcceptance } from "./accept";

const scope = { gateways: ["gateways"], controlPlanes: ["tenant-a"] };

function gateway(namespace: string): InternalGateway {
  return {
    apiVersion: "fairlead.dev/v1alpha1",
    kind: "InternalGateway",
    metadata: { name: "default", namespace },
    spec: { selector: { a: "b" }, allowedNamespaces: { from: "All" } },
  } as unknown as InternalGateway;
}

interface Options {
  /** The namespace of the gateway that it is attached to. */
  readonly attachedTo?: string;
  /** Minutes after the first. */
  readonly age?: number;
  /** Undefined: it names none. */
  readonly gatewayIn?: string | undefined;
}

function hapi(namespace: string, options: Options = {}): HostedAPIServer {
  const { attachedTo, age = 0 } = options;
  const gatewayIn = "gatewayIn" in options ? options.gatewayIn : "gateways";
  return {
    apiVersion: "fairlead.dev/v1alpha1",
    kind: "HostedAPIServer",
    metadata: {
      name: "main",
      namespace,
      creationTimestamp: `2026-01-01T00:0${age}:00Z`,
    },
    spec: {
      kubernetesVersion: "1.34.2",
      hosts: ["api.example.com"],
      ...(gatewayIn === undefined ? {} : { gatewayRef: { namespace: gatewayIn, name: "default" } }),
    },
    ...(attachedTo === undefined
      ? {}
      : { status: { gatewayRef: { namespace: attachedTo, name: "default" }, conditions: [] } }),
  } as unknown as HostedAPIServer;
}

const gateways = [gateway("gateways"), gateway("elsewhere")];

function accept(subject: HostedAPIServer, ...others: readonly KubernetesObject[]) {
  const world = acceptanceWorld([...gateways, subject, ...others]);
  return decideAcceptance(subject, { ...world, scope });
}

describe("in the restricted mode, a HostedAPIServer", () => {
  it("in a listed namespace is accepted", () => {
    expect(accept(hapi("tenant-a"))).toMatchObject({ accepted: true });
  });

  it("that names no gateway gets the only one that is listed", () => {
    expect(accept(hapi("tenant-a", { gatewayIn: undefined }))).toMatchObject({
      accepted: true,
      gateway: { metadata: { namespace: "gateways" } },
    });
  });

  it("in a namespace that can't be read is left alone, and what the API server says is passed on", () => {
    const subject = hapi("tenant-a");
    const refusals = {
      of: (namespace: string) => (namespace === "tenant-a" ? "secrets is forbidden" : undefined),
    };
    const world = { ...acceptanceWorld([...gateways, subject]), scope: { ...scope, refusals } };

    expect(decideAcceptance(subject, world)).toMatchObject({
      consent: "unreachable",
      reason: "ReadRefused",
      message: expect.stringContaining("secrets is forbidden") as unknown,
    });
  });

  it("in another namespace is left alone, and the setting to change is named", () => {
    expect(accept(hapi("tenant-b"))).toMatchObject({
      consent: "unreachable",
      reason: "NamespaceNotListed",
      message: expect.stringMatching(
        /tenant-b is not in FAIRLEAD_CONTROL_PLANE_NAMESPACES.*rbac\.controlPlaneNamespaces/,
      ) as unknown,
    });
  });

  it("that is attached to a gateway that is listed no more is left alone", () => {
    expect(accept(hapi("tenant-a", { attachedTo: "elsewhere" }))).toMatchObject({
      consent: "unreachable",
      message: expect.stringContaining("FAIRLEAD_GATEWAY_NAMESPACES") as unknown,
    });
  });

  it("that asks for a gateway that is not listed keeps the one that it has", () => {
    const moving = hapi("tenant-a", { attachedTo: "gateways", gatewayIn: "elsewhere" });

    expect(accept(moving)).toMatchObject({ consent: "kept", reason: "NamespaceNotListed" });
  });

  it("keeps no host by being older, where it is left alone", () => {
    const older = hapi("tenant-b");

    expect(accept(hapi("tenant-a", { age: 1 }), older)).toMatchObject({ accepted: true });
  });

  it("keeps its host while it is served, although it is left alone now", () => {
    const older = hapi("tenant-b", { attachedTo: "gateways" });

    expect(accept(hapi("tenant-a", { age: 1 }), older)).toMatchObject({ reason: "HostConflict" });
  });
});
