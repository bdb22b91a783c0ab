import { refusalText } from "./refusal-text";

const secrets = "/api/v1/namespaces/istio-ingress/secrets";
const user = "system:serviceaccount:pepr-system:fairlead-watch";
const verb = `User "${user}" cannot create resource "secrets" in API group ""`;

describe("a refusal", () => {
  it.each([
    [`secrets is forbidden: ${verb} in the namespace "istio-ingress"`],
    [`secrets "a-tls" is forbidden: ${verb} in the namespace "istio-ingress"`],
    [`secrets is forbidden: ${verb} at the cluster scope`],
    [
      "secrets \"a\" is forbidden: ValidatingAdmissionPolicy 'fairlead-guard-writes' with binding 'fairlead-guard-writes' denied request",
    ],
  ])("of a Secret names the missing right, or the policy: %s", (message) => {
    const told = `${message}: and what it quotes: hunter2`;

    expect(refusalText(secrets, { reason: "Forbidden", message: told })).toBe(message);
  });

  it.each([
    'Secret "a" is invalid: data: Invalid value: "hunter2"',
    'admission webhook "x" denied the request: hunter2',
    `secrets "a" is forbidden: hunter2: ${verb} at the cluster scope`,
  ])("of a Secret tells nothing else: %s", (message) => {
    expect(refusalText(secrets, { reason: "Forbidden", message })).toBe("Forbidden");
  });

  it("of another object is told as it is, but for what may be a route secret", () => {
    const message = `EnvoyFilter "a" is invalid: ${"0a".repeat(32)}`;

    expect(refusalText("/apis/x/v1/y", { reason: "Invalid", message })).toBe(
      'EnvoyFilter "a" is invalid: …',
    );
    expect(refusalText("/apis/x/v1/y", { reason: "Invalid" })).toBe("Invalid");
  });
});
