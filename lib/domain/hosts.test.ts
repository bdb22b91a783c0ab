import * as fc from "fast-check";
import { certificateCoversHost, findHostProblem, isHost, isHostAllowed, splitList } from "./hosts";

describe("a certificate's name", () => {
  it.each([
    ["api.example.com", "api.example.com"],
    ["API.Example.com", "api.example.com"],
    ["api.example.com", "api.example.com."],
    ["*.example.com", "api.example.com"],
    ["*.EXAMPLE.com", "api.example.com"],
    ["*.example.com", "*.example.com"],
    ["kubernetes", "kubernetes"],
  ])("%s covers %s", (pattern, host) => {
    expect(certificateCoversHost(pattern, host)).toBe(true);
  });

  it.each([
    ["api.example.com", "xapi.example.com"],
    ["*.example.com", "example.com"],
    ["*.example.com", ".example.com"],
    ["*.example.com", "a.b.example.com"],
    ["*.example.com", "api.example.org"],
    ["a*.example.com", "api.example.com"],
    ["*a.example.com", "aa.example.com"],
    ["api.*.com", "api.example.com"],
    ["*.*.com", "api.example.com"],
    ["**.example.com", "api.example.com"],
    ["*", "kubernetes"],
    ["*.", "kubernetes."],
    ["*.0.0.1", "127.0.0.1"],
    ["127.0.0.1", "127.0.0.1"],
    ["", ""],
  ])("%s does not cover %s", (pattern, host) => {
    expect(certificateCoversHost(pattern, host)).toBe(false);
  });
});

describe("allowed hosts", () => {
  it("allow every host when absent, and none when empty", () => {
    expect(isHostAllowed(undefined, "api.example.com")).toBe(true);
    expect(isHostAllowed([], "api.example.com")).toBe(false);
  });

  it("allow what one of them covers, where * is one label", () => {
    const allowed = ["api.example.org", "*.tenants.example.com"];

    expect(isHostAllowed(allowed, "api.example.org")).toBe(true);
    expect(isHostAllowed(allowed, "a.tenants.example.com")).toBe(true);
    expect(isHostAllowed(allowed, "api.a.tenants.example.com")).toBe(false);
    expect(isHostAllowed(allowed, "tenants.example.com")).toBe(false);
  });
});

describe("a host name", () => {
  it.each([
    ["", "Empty"],
    ["10.0.0.1", "IPAddress"],
    ["fd00::1", "IPAddress"],
    ["*.example.com", "Wildcard"],
    ["example.com.", "TrailingDot"],
    ["Example.com", "UpperCase"],
    [`${"a.".repeat(127)}aa`, "TooLong"],
    [`${"a".repeat(64)}.com`, "LabelTooLong"],
    ["a..com", "NotDNS"],
    ["-a.com", "NotDNS"],
    ["a-.com", "NotDNS"],
    ["ä.com", "NotDNS"],
    ["a b.com", "NotDNS"],
    ["a.com\n", "NotDNS"],
  ])("is not %j: %s", (host, reason) => {
    expect(findHostProblem(host)?.reason).toBe(reason);
  });

  it("has labels of at most 63 characters, 253 altogether", () => {
    const label = fc.stringMatching(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/);
    const host = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join("."));

    fc.assert(
      fc.property(
        host.filter((text) => !/^[0-9.]+$/.test(text) && text.length <= 253),
        isHost,
      ),
    );
  });
});

it("a list is split at commas, without blanks, empty items and repetitions", () => {
  expect(splitList(" b, a,,b ,\n")).toEqual(["b", "a"]);
});
