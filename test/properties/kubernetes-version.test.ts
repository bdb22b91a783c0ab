import fc from "fast-check";
import {
  compareKubernetesVersions,
  effectiveMinor,
  formatMinor,
  parseKubernetesVersion,
  supportsL7,
  type KubernetesVersion,
} from "../../lib/domain/kubernetes-version";

function parsed(text: string): KubernetesVersion {
  const version = parseKubernetesVersion(text);
  if (version === undefined) throw new Error(`${text} is no version`);
  return version;
}

describe("a Kubernetes version", () => {
  it.each([
    ["1.34.2", [1, 34, 2, ""]],
    ["v1.34.2", [1, 34, 2, ""]],
    ["1.34", [1, 34, 0, ""]],
    ["1.34+", [1, 34, 0, ""]],
    ["1.31.5+k0s.0", [1, 31, 5, ""]],
    ["v1.33.5-gke.1080000", [1, 33, 5, "gke.1080000"]],
    ["v1.36.0-alpha.1+abc", [1, 36, 0, "alpha.1"]],
  ])("%s is read", (text, expected) => {
    const { major, minor, patch, preRelease } = parsed(text);
    expect([major, minor, patch, preRelease]).toEqual(expected);
  });

  it.each(["", "1", "latest", "1.x", "1.34.2.1", "-1.34"])("%p is none", (text) => {
    expect(parseKubernetesVersion(text)).toBeUndefined();
  });

  it("is ordered as semver orders it", () => {
    const ascending = [
      "1.30.14",
      "1.31.0-alpha.2",
      "1.31.0-alpha.10",
      "1.31.0-rc.1",
      "1.31.0",
      "1.31.5+k0s.0",
      "2.0.0",
    ];
    const shuffled = [...ascending].reverse();
    shuffled.sort((a, b) => compareKubernetesVersions(parsed(a), parsed(b)));
    expect(shuffled).toEqual(ascending);
  });

  it("compares one way round as the other", () => {
    const part = fc.nat({ max: 40 });
    const preRelease = fc.constantFrom("", "-alpha.1", "-alpha.2", "-rc.0");
    const version = fc
      .tuple(part, part, part, preRelease)
      .map(([a, b, c, d]) => parsed(`${a}.${b}.${c}${d}`));
    fc.assert(
      fc.property(version, version, (a, b) => {
        expect(compareKubernetesVersions(a, b) + compareKubernetesVersions(b, a)).toBe(0);
      }),
    );
  });

  it.each([
    ["1.30.14", false],
    ["1.31.0", true],
    ["v1.31.0-alpha.1", true],
    ["1.31.5+k0s.0", true],
    ["2.0.0", true],
    ["latest", false],
  ])("%s in L7: %p", (text, expected) => {
    expect(supportsL7(text)).toBe(expected);
  });
});

describe("the minor of an API server", () => {
  it.each([
    [{ major: "1", minor: "34" }, 34],
    [{ major: "1", minor: "34+" }, 34],
    [{ major: "1", minor: "34", emulationMajor: "1", emulationMinor: "33" }, 33],
    [{ major: "1", minor: "34", emulationMajor: "", emulationMinor: "" }, 34],
    [{ major: "", minor: "", gitVersion: "v1.34.4" }, 34],
    [{ major: "2", minor: "1" }, 1_001],
  ])("of %p is %p", (info, expected) => {
    expect(effectiveMinor(info)).toBe(expected);
  });

  it("of an answer without a version is unknown", () => {
    expect(effectiveMinor({ major: "", minor: "", gitVersion: "" })).toBeUndefined();
  });

  it("is written as people write it", () => {
    expect([34, 1_001].map(formatMinor)).toEqual(["1.34", "2.1"]);
  });
});
