import { environmentOf } from "./environment";
import type { ContainerSpec, DataObject, Pod, PodSources, Volume } from "./pod";
import { countProbe, unprobed } from "./probe";
import { volumeFiles } from "./volumes";

const pod: Pod = {
  metadata: { name: "pod-1", namespace: "system", uid: "1" },
  spec: { nodeName: "node-a", containers: [] },
};

function object(fields: Omit<DataObject, "metadata">): DataObject {
  return { metadata: { name: "any", namespace: "system", resourceVersion: "1" }, ...fields };
}
const base64 = (text: string): string => Buffer.from(text).toString("base64");

const sources: PodSources = {
  configMap: (name) =>
    name === "settings"
      ? object({ data: { COLOUR: "blue", SIZE: "small" }, binaryData: { raw: base64("bytes") } })
      : undefined,
  secret: (name) =>
    name === "keys" ? object({ data: { "tls.key": base64("secret") } }) : undefined,
  token: (audience) => (audience === "" ? "a-token" : undefined),
};

describe("the environment of a container", () => {
  const services = { KUBERNETES_SERVICE_HOST: "10.96.0.1" };
  const resolve = (container: Partial<ContainerSpec>) =>
    environmentOf({
      pod,
      container: { name: "main", image: "any", ...container },
      podIP: "10.244.1.2",
      sources,
      services,
    });

  it("has services, whole objects, then single variables, the last one winning", () => {
    const envFrom = [
      { configMapRef: { name: "settings" } },
      { prefix: "KEY_", secretRef: { name: "keys" } },
    ];
    const env = [
      { name: "SIZE", value: "large" },
      { name: "POD", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } },
      { name: "IP", valueFrom: { fieldRef: { fieldPath: "status.podIP" } } },
      { name: "KEY", valueFrom: { secretKeyRef: { name: "keys", key: "tls.key" } } },
      {
        name: "MAYBE",
        valueFrom: { configMapKeyRef: { name: "settings", key: "x", optional: true } },
      },
      { name: "TEXT", value: "$(POD) is $(SIZE), $(NOBODY) pays $$5" },
    ];

    expect(resolve({ envFrom, env })).toEqual({
      ...services,
      COLOUR: "blue",
      "KEY_tls.key": "secret",
      SIZE: "large",
      POD: "pod-1",
      IP: "10.244.1.2",
      KEY: "secret",
      TEXT: "pod-1 is large, $(NOBODY) pays $5",
    });
  });

  it.each<[string, Partial<ContainerSpec>, string]>([
    ["an object", { envFrom: [{ secretRef: { name: "x" } }] }, 'secret "x" not found'],
    [
      "a key",
      { env: [{ name: "A", valueFrom: { configMapKeyRef: { name: "settings", key: "x" } } }] },
      `couldn't find key x in configMap "settings"`,
    ],
    [
      "a field",
      { env: [{ name: "A", valueFrom: { fieldRef: { fieldPath: "status.hostIP" } } }] },
      "field status.hostIP is not played",
    ],
  ])("waits for %s that is not there", (_, container, message) => {
    expect(() => resolve(container)).toThrow(message);
  });

  it("does without what is optional", () => {
    const envFrom = [{ configMapRef: { name: "x", optional: true } }];

    expect(resolve({ envFrom })).toEqual(services);
  });
});

describe("the files of a volume", () => {
  const read = (volume: Omit<Volume, "name">): Record<string, string> => {
    const request = { pod, volume: { name: "v", ...volume }, podIP: "", sources };
    const entries = Object.entries(volumeFiles(request)).map(
      ([path, { content, mode, owner }]) =>
        [path, `${content.toString("utf8")} ${mode.toString(8)} ${owner}`] as const,
    );
    return Object.fromEntries(entries);
  };

  it("are those of a ConfigMap or Secret, or those of their keys that are named", () => {
    expect(read({ configMap: { name: "settings" } })).toEqual({
      COLOUR: "blue 644 root",
      SIZE: "small 644 root",
      raw: "bytes 644 root",
    });
    const items = [{ key: "tls.key", path: "a/b.key", mode: 0o400 }];
    expect(read({ secret: { secretName: "keys", defaultMode: 0o440 } })).toEqual({
      "tls.key": "secret 440 root",
    });
    expect(read({ secret: { secretName: "keys", items } })).toEqual({
      "a/b.key": "secret 400 root",
    });
  });

  it("are those of all that is projected, a token being its user's", () => {
    const projected = {
      sources: [
        { serviceAccountToken: { path: "token" } },
        { configMap: { name: "settings", items: [{ key: "SIZE", path: "size" }] } },
        { downwardAPI: { items: [{ path: "ns", fieldRef: { fieldPath: "metadata.namespace" } }] } },
        { secret: { name: "x", optional: true } },
      ],
    };

    expect(read({ projected })).toEqual({
      token: "a-token 600 user",
      size: "small 644 root",
      ns: "system 644 root",
    });
  });

  it.each<[string, Omit<Volume, "name">, string]>([
    ["an object", { configMap: { name: "x" } }, 'configMap "x" not found'],
    [
      "a key",
      { secret: { secretName: "keys", items: [{ key: "x", path: "x" }] } },
      'secret "keys" references non-existent key: x',
    ],
    [
      "a token",
      { projected: { sources: [{ serviceAccountToken: { path: "t", audience: "other" } }] } },
      "no token yet",
    ],
    ["a kind", { emptyDir: {} }, "volume v is of a kind that is not played"],
  ])("are waited for where %s is not there", (_, volume, message) => {
    expect(() => read(volume)).toThrow(message);
  });
});

describe("a probe", () => {
  const verdicts = (outcomes: string, thresholds: object): string[] => {
    let state = unprobed;
    return outcomes.split("").map((outcome) => {
      state = countProbe(state, outcome === "+" ? "success" : "failure", thresholds);
      return state.verdict;
    });
  };

  it("fails after as many failures in a row as its threshold says, three by default", () => {
    expect(verdicts("--+---", {}).join(" ")).toBe(
      "unknown unknown success success success failure",
    );
    expect(verdicts("--", { failureThreshold: 2 })).toEqual(["unknown", "failure"]);
  });

  it("succeeds at once, or after as many in a row as its threshold says", () => {
    expect(verdicts("+", {})).toEqual(["success"]);
    expect(verdicts("-+-++", { failureThreshold: 1, successThreshold: 2 })).toEqual([
      "failure",
      "failure",
      "failure",
      "failure",
      "success",
    ]);
  });
});
