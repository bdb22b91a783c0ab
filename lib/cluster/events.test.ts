import type { KubernetesObject } from "../api";
import type { NamespaceScope } from "../domain/namespace-scope";
import type { KubernetesClient } from "./client";
import { createEventRecorder } from "./events";
import { silentLogger } from "./logger";

const about: KubernetesObject = {
  apiVersion: "fairlead.dev/v1alpha1",
  kind: "HostedAPIServer",
  metadata: { namespace: "tenant", name: "main", uid: "1" },
};
const text = { type: "Warning", reason: "NotServed", message: "Nobody answers." } as const;

function recorderAt(startMs: number, scope?: NamespaceScope) {
  let nowMs = startMs;
  const written: KubernetesObject[] = [];
  const client = {
    create: (event: KubernetesObject) => {
      written.push(event);
      return Promise.resolve(event);
    },
  } as unknown as KubernetesClient;
  const clock = { nowMs: () => nowMs, after: () => () => undefined };
  const recorder = createEventRecorder({
    client,
    clock,
    log: silentLogger,
    ...(scope === undefined ? {} : { scope }),
  });
  return {
    recorder,
    written,
    names: () => written.map(({ metadata }) => metadata.name),
    advance: (ms: number) => {
      nowMs += ms;
    },
  };
}

describe("an Event", () => {
  it("is told once, however often it is true", () => {
    const { recorder, written } = recorderAt(0);
    for (let times = 0; times < 1_000; times += 1) recorder.event(about, text);
    expect(written).toHaveLength(1);
  });

  it("is told again when an hour is over", () => {
    const { recorder, names, advance } = recorderAt(0);
    recorder.event(about, text);
    advance(3_600_000);
    recorder.event(about, text);
    expect(new Set(names()).size).toBe(2);
  });

  it("has the same name when another process tells it in the same hour", () => {
    const [first, second] = [recorderAt(60_000), recorderAt(3_000_000)];
    first.recorder.event(about, text);
    second.recorder.event(about, text);
    expect(first.names()).toEqual(second.names());
  });

  it("has another name for another object, reason or message", () => {
    const { recorder, names } = recorderAt(0);
    recorder.event(about, text);
    recorder.event(about, { ...text, message: "The wrong certificate is served." });
    recorder.event(about, { ...text, reason: "Contested" });
    recorder.event({ ...about, metadata: { ...about.metadata, uid: "2" } }, text);
    expect(new Set(names()).size).toBe(4);
  });
});

describe("in the restricted mode, Events", () => {
  const scope: NamespaceScope = { gateways: ["istio-ingress"], controlPlanes: ["tenant"] };

  it("are written in listed namespaces alone", () => {
    const { recorder, written } = recorderAt(0, scope);
    recorder.event(about, text);
    recorder.event({ ...about, metadata: { ...about.metadata, namespace: "other" } }, text);
    expect(written.map(({ metadata }) => metadata.namespace)).toEqual(["tenant"]);
  });
});

describe("Events about one object, each with other words", () => {
  const tellOfAttempt = (recorder: ReturnType<typeof recorderAt>["recorder"], attempt: number) => {
    recorder.event(about, { ...text, message: `Attempt ${attempt} failed.` });
  };

  it("are no more than 25 at once", () => {
    const { recorder, written } = recorderAt(0);
    for (let attempt = 0; attempt < 1_000; attempt += 1) tellOfAttempt(recorder, attempt);
    expect(written).toHaveLength(25);
  });

  it("are one in five minutes then", () => {
    const { recorder, written, advance } = recorderAt(0);
    for (let attempt = 0; attempt < 1_000; attempt += 1) tellOfAttempt(recorder, attempt);
    for (let minute = 0; minute < 60; minute += 1) {
      advance(60_000);
      tellOfAttempt(recorder, 1_000 + minute);
    }
    expect(written).toHaveLength(25 + 12);
  });

  it("take nothing from another object's", () => {
    const { recorder, written } = recorderAt(0);
    for (let attempt = 0; attempt < 1_000; attempt += 1) tellOfAttempt(recorder, attempt);
    recorder.event({ ...about, metadata: { ...about.metadata, uid: "2" } }, text);
    expect(written).toHaveLength(26);
  });
});
