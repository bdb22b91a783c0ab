import * as fc from "fast-check";
import {
  CONTEST,
  NOTHING_REMEMBERED,
  planSecret,
  type SecretMemory,
} from "../../capabilities/exposure/clients/decide";
import { findStalePods, type ExistingPod } from "../../lib/domain/stale-pods";
import { pointKubeconfig } from "../../capabilities/exposure/resources";
import type { KubeconfigSecret } from "../../capabilities/exposure/resources/kubeconfig";
import { decideRouting } from "../../capabilities/pods/decide";

const HOST = "api.tenant-a.example.com";
const TARGET = `https://${HOST}`;
const OLD = "https://kube-apiserver.tenant-a.svc";
const target = { server: TARGET, servedChain: [], nowMs: 0 };

const comment = fc.constantFrom("", " # inside", "   ", " #https://kube-apiserver.tenant-a.svc");
const quoted = fc.constantFrom(
  (text: string) => text,
  (text: string) => `"${text}"`,
  (text: string) => `'${text}'`,
);
const lineEnd = fc.constantFrom("\n", "\r\n");

/** A kubeconfig in three pieces: what is before the server, the server, and what is after it. */
const kubeconfig = fc
  .record({
    comment,
    quoted,
    lineEnd,
    indentation: fc.integer({ min: 0, max: 4 }),
    others: fc.array(fc.constantFrom(OLD, TARGET, "https://other.example.com"), { maxLength: 3 }),
    token: fc.stringMatching(/^[aB3+/=é: #'"-]{0,20}$/),
    last: fc.constantFrom("", "\n", "\n\n", "\n# the end", "\n...\n"),
    usersFirst: fc.boolean(),
  })
  .map((given) => {
    const indent = " ".repeat(given.indentation);
    const users = [
      "users:",
      `${indent}- name: user`,
      `${indent}  user: {token: ${JSON.stringify(given.token)}}`,
    ];
    const cluster = (name: string, server: string): string[] => [
      `${indent}- name: ${name}`,
      `${indent}  cluster:`,
      `${indent}    insecure-skip-tls-verify: true`,
      `${indent}    server: ${server}`,
    ];
    const before = [
      "apiVersion: v1",
      "kind: Config",
      ...(given.usersFirst ? users : []),
      `current-context: "it"${given.comment}`,
      "contexts: [{name: it, context: {cluster: it, user: user}}]",
      "clusters:",
      ...given.others.flatMap((server, index) => cluster(`other-${index}`, server)),
      `${indent}- cluster:`,
      `${indent}    insecure-skip-tls-verify: true`,
      `${indent}    server: `,
    ];
    const after = [given.comment, `${indent}  name: it`, ...(given.usersFirst ? [] : users)];
    return {
      before: before.join(given.lineEnd),
      server: given.quoted(OLD),
      after: after.join(given.lineEnd) + given.last,
    };
  });

describe("a kubeconfig", () => {
  it("changes by its server, and by not a byte besides", () => {
    fc.assert(
      fc.property(kubeconfig, ({ before, server, after }) => {
        const pointed = pointKubeconfig(before + server + after, target);
        expect(pointed).toEqual({
          kind: "change",
          text: before + server.replace(OLD, TARGET) + after,
        });
      }),
    );
  });

  it("is whatever it is: any text is decided about without an error, and twice is once", () => {
    const anyText = fc.oneof(
      fc.string({ unit: "binary" }),
      kubeconfig.chain(({ before, server, after }) => {
        const text = before + server + after;
        return fc
          .record({
            at: fc.nat(text.length),
            length: fc.nat(40),
            put: fc.string({ maxLength: 10 }),
          })
          .map(({ at, length, put }) => text.slice(0, at) + put + text.slice(at + length));
      }),
    );
    fc.assert(
      fc.property(anyText, (text) => {
        const pointed = pointKubeconfig(text, target);
        if (pointed.kind === "keep") return;
        expect(pointKubeconfig(pointed.text, target)).toMatchObject({ reason: "UpToDate" });
      }),
    );
  });
});

describe("a text that is nested more deeply than kubeconfigs are", () => {
  it.each([
    { open: "[", close: "]", depth: 70 },
    { open: "[", close: "]", depth: 100_000 },
    { open: "{a: ", close: "}", depth: 100_000 },
  ])("is no kubeconfig: $depth times $open", ({ open, close, depth }) => {
    const text = `kind: Config\nclusters: [${open.repeat(depth)}${close.repeat(depth)}]\n`;
    expect(pointKubeconfig(text, target)).toMatchObject({ reason: "Malformed" });
  });
});

const textOf = (server: string): string =>
  `kind: Config\ncurrent-context: it\ncontexts: [{name: it, context: {cluster: it}}]\nclusters: [{name: it, cluster: {insecure-skip-tls-verify: true, server: ${server}}}]\n`;

function secretOf(
  server: string,
  annotations: Readonly<Record<string, string>> = {},
): KubeconfigSecret {
  return {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: "kubeconfig", namespace: "tenant-a", annotations },
    data: { kubeconfig: Buffer.from(textOf(server)).toString("base64") },
  };
}

/** What others do to a Secret, some seconds after what was done before. */
const othersDo = fc.record({
  afterMs: fc.integer({ min: 0, max: 400 }).map((seconds) => seconds * 1_000),
  what: fc.constantFrom("set back", "set back", "replace", "remove annotation", "look"),
});
type OthersDo = typeof othersDo extends fc.Arbitrary<infer T> ? T : never;

/** Plays others against the plan, which is carried out at once. @returns When the data was written. */
function play(others: readonly OthersDo[]): readonly number[] {
  let secret = secretOf(OLD);
  let memory: SecretMemory = NOTHING_REMEMBERED;
  let nowMs = 0;
  const writtenMs: number[] = [];
  for (const { afterMs, what } of others) {
    nowMs += afterMs;
    const { annotations } = secret.metadata;
    if (what === "set back") secret = secretOf(OLD, annotations);
    if (what === "replace") secret = secretOf(OLD);
    if (what === "remove annotation") {
      secret = { ...secret, metadata: { ...secret.metadata, annotations: {} } };
    }
    const plan = planSecret(secret, "kubeconfig", { target: { ...target, nowMs }, memory });
    ({ memory } = plan);
    if (plan.kind === "keep") continue;
    memory = plan.afterwards;
    if (plan.kind === "write") {
      secret = { ...secret, data: plan.data };
      writtenMs.push(nowMs);
    } else {
      secret = secretOf(OLD, { "fairlead.dev/contested": "true" });
    }
  }
  return writtenMs;
}

describe("a Secret that others set back", () => {
  it("is written at most three times in ten minutes, whatever they do", () => {
    fc.assert(
      fc.property(fc.array(othersDo, { maxLength: 30, size: "max" }), (others) => {
        const writtenMs = play(others);
        for (const sinceMs of writtenMs) {
          const within = writtenMs.filter((ms) => ms >= sinceMs && ms < sinceMs + CONTEST.windowMs);
          expect(within.length).toBeLessThanOrEqual(3);
        }
      }),
    );
  });

  it("is written again, however slowly they do it", () => {
    const hourly = Array.from({ length: 20 }, () => ({
      afterMs: 3_600_000,
      what: "set back" as const,
    }));
    expect(play(hourly)).toHaveLength(20);
  });
});

const hosts = [HOST, "api.b.example.com"];
const addresses = ["10.96.3.7", "fd00:10:96::307"];

describe("a Pod that was admitted with the route", () => {
  it("is not stale, unless it leads a host elsewhere itself", () => {
    const alias = fc.record({
      ip: fc.constantFrom(...addresses, "203.0.113.10"),
      hostnames: fc.subarray([...hosts, "db.example.org"]),
    });
    const chosen = fc.subarray(addresses, { minLength: 1 });
    fc.assert(
      fc.property(fc.array(alias, { maxLength: 3 }), chosen, (hostAliases, wanted) => {
        const pod = {
          apiVersion: "v1",
          kind: "Pod",
          metadata: { name: "client", labels: { "fairlead.dev/route": "true" } },
          spec: { hostAliases },
        } satisfies ExistingPod;
        const configMap = {
          apiVersion: "v1",
          kind: "ConfigMap",
          metadata: { name: "istio-internal-load-balancing" },
          data: {
            hosts: hosts.join(","),
            "istio-namespace": "istio-ingress",
            addresses: wanted.join(","),
          },
        };
        const service = { ...pod, kind: "Service", spec: { clusterIPs: addresses } };
        const decision = decideRouting(pod, {
          namespace: "tenant-a",
          configMap,
          service: () => service,
        });
        const admitted = decision.kind === "change" ? (decision.pod as ExistingPod) : pod;
        const leadsElsewhere = hostAliases.some(
          ({ ip, hostnames }) =>
            !wanted.includes(ip) && hostnames.some((host) => hosts.includes(host)),
        );
        const stale = findStalePods([admitted], { hosts, addresses: wanted });
        expect(stale).toEqual(leadsElsewhere ? [{ name: "client", reason: "OtherAddress" }] : []);
      }),
    );
  });
});
