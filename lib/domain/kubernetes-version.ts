/** A Kubernetes version. What follows a `+`, a distribution's own mark, does not count and is not kept. */
export interface KubernetesVersion {
  readonly major: number;
  readonly minor: number;
  /** 0 where none is given. */
  readonly patch: number;
  /** `alpha.1` of `1.36.0-alpha.1`; empty for a release. */
  readonly preRelease: string;
}

/** What counts of an answer of `/version`. @see https://pkg.go.dev/k8s.io/apimachinery/pkg/version#Info */
export interface VersionInfo {
  readonly major: string;
  /** `34`, or `34+` as managed clouds write it. */
  readonly minor: string;
  readonly gitVersion?: string;
  /** The version that the server behaves as; served by 1.33 and later. */
  readonly emulationMajor?: string;
  readonly emulationMinor?: string;
}

/** The first minor whose clients stream over WebSocket, and so the first that is served in L7. */
const FIRST_L7_MINOR = 31;
/** Room for the minors of a major in one number. */
const MINORS_PER_MAJOR = 1_000;

const versionPattern =
  /^v?(?<major>\d{1,6})\.(?<minor>\d{1,6})\+?(?:\.(?<patch>\d{1,6}))?(?:-(?<preRelease>[0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.+-]*)?$/;

/**
 * Parses a version: `1.34.2`, `v1.34.2`, `1.34`, `1.34+`, `1.31.5+k0s.0`, `v1.33.5-gke.1080000`.
 * @returns undefined for what is no version.
 */
export function parseKubernetesVersion(text: string): KubernetesVersion | undefined {
  const parts = versionPattern.exec(text.trim())?.groups;
  if (parts === undefined) return undefined;
  return {
    major: Number(parts.major),
    minor: Number(parts.minor),
    patch: Number(parts.patch ?? "0"),
    preRelease: parts.preRelease ?? "",
  };
}

function compareIdentifiers(a: string, b: string): number {
  const numeric = [a, b].map((identifier) => /^\d+$/.test(identifier));
  if (numeric[0] === true && numeric[1] === true) return Math.sign(Number(a) - Number(b));
  if (numeric[0] !== numeric[1]) return numeric[0] === true ? -1 : 1;
  return a === b ? 0 : a < b ? -1 : 1;
}

function comparePreReleases(a: string, b: string): number {
  if (a === b) return 0;
  if (a === "") return 1;
  if (b === "") return -1;
  const [left, right] = [a.split("."), b.split(".")];
  const length = Math.max(left.length, right.length);
  for (let index = 0; index < length; index += 1) {
    const [one, other] = [left[index], right[index]];
    if (one === undefined) return -1;
    if (other === undefined) return 1;
    const order = compareIdentifiers(one, other);
    if (order !== 0) return order;
  }
  return 0;
}

/**
 * Compares two versions: -1, 0 or 1. A pre-release comes before its release.
 * @see https://semver.org/#spec-item-11
 */
export function compareKubernetesVersions(a: KubernetesVersion, b: KubernetesVersion): number {
  const order =
    Math.sign(a.major - b.major) || Math.sign(a.minor - b.minor) || Math.sign(a.patch - b.patch);
  return order === 0 ? comparePreReleases(a.preRelease, b.preRelease) : order;
}

/** Minors of all majors in one order: 34 is 1.34, and 2.0 comes after every 1.x. */
function toMinor(major: number, minor: number): number {
  return (major - 1) * MINORS_PER_MAJOR + minor;
}

function parseMinor(major: string | undefined, minor: string | undefined): number | undefined {
  const version = parseKubernetesVersion(`${major ?? ""}.${minor ?? ""}`);
  return version === undefined ? undefined : toMinor(version.major, version.minor);
}

/**
 * The minor that an API server behaves as: the emulated one where that is served, since features and validation follow
 * it, else its own.
 * @returns 34 for 1.34; undefined for an answer that holds no version.
 * @see https://kubernetes.io/docs/concepts/cluster-administration/compatibility-version/
 */
export function effectiveMinor(info: VersionInfo): number | undefined {
  const emulated = parseMinor(info.emulationMajor, info.emulationMinor);
  if (emulated !== undefined) return emulated;
  const own = parseMinor(info.major, info.minor);
  if (own !== undefined) return own;
  const git = parseKubernetesVersion(info.gitVersion ?? "");
  return git === undefined ? undefined : toMinor(git.major, git.minor);
}

/** `1.34` for 34: a minor as people write it. */
export function formatMinor(minor: number): string {
  return `${Math.floor(minor / MINORS_PER_MAJOR) + 1}.${minor % MINORS_PER_MAJOR}`;
}

/**
 * Whether a hosted API server of this version can be served in L7: 1.31 and later, pre-releases included.
 * @param version `spec.kubernetesVersion`; what is no version can't be.
 */
export function supportsL7(version: string): boolean {
  const parsed = parseKubernetesVersion(version);
  return parsed !== undefined && toMinor(parsed.major, parsed.minor) >= FIRST_L7_MINOR;
}
