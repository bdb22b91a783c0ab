import { canonicalAddress, isSameAddress } from "./ip-addresses";

it.each([
  ["10.96.3.7", "10.96.3.7"],
  ["FD00:10:96::0307", "fd00:10:96::307"],
  ["fd00:0:0::1", "fd00::1"],
  ["010.0.0.1", undefined],
  ["fe80::1%eth0", undefined],
  ["10.0.0.1/32", undefined],
  ["None", undefined],
  ["", undefined],
])("the canonical form of %j is %j", (text, canonical) => {
  expect(canonicalAddress(text)).toBe(canonical);
});

it("addresses are the same in any spelling, and what is none equals its like alone", () => {
  expect(isSameAddress("fd00::1", "fd00:0::1")).toBe(true);
  expect(isSameAddress("fd00::1", "fd00::2")).toBe(false);
  expect(isSameAddress("x", "x")).toBe(true);
  expect(isSameAddress("010.0.0.1", "10.0.0.1")).toBe(false);
});
