import { expectedDistribution } from "./services";

test.each([
  ["1.31.14", "PreferClose"],
  ["1.33.13", "PreferClose"],
  ["1.34.4", "PreferSameZone"],
  ["1.36.3+k3s1", "PreferSameZone"],
])("Kubernetes %s gets %s", (version, value) => {
  expect(expectedDistribution(version)).toBe(value);
});

test.each(["1.30.9", "unknown"])("Kubernetes %s is refused with a sentence", (version) => {
  expect(() => expectedDistribution(version)).toThrow("too old");
});
