import { parseSettings } from "./settings";

describe("settings", () => {
  it("have defaults", () => {
    expect(parseSettings({})).toEqual({
      port: 3000,
      drainMs: 120_000,
      graceMs: 300_000,
      versionSettleMs: 600_000,
      versionIntervalMs: 60_000,
      resyncMs: 600_000,
      watchGraceMs: 120_000,
      clusterDomain: "cluster.local",
      webhookValidityMs: 7_776_000_000,
      admission: "Auto",
      peprLogLevel: "warn",
    });
  });

  it("are given in seconds and kept in milliseconds", () => {
    const env = { FAIRLEAD_DRAIN_SECONDS: "2", FAIRLEAD_VERSION_INTERVAL_SECONDS: "0.5" };
    expect(parseSettings(env)).toMatchObject({ drainMs: 2_000, versionIntervalMs: 500 });
  });

  it("restrict fairlead to the namespaces that are listed, in whatever order", () => {
    const env = {
      FAIRLEAD_GATEWAY_NAMESPACES: "istio-ingress",
      FAIRLEAD_CONTROL_PLANE_NAMESPACES: " tenant-b, tenant-a,,tenant-b",
    };
    expect(parseSettings(env).scope).toEqual({
      gateways: ["istio-ingress"],
      controlPlanes: ["tenant-a", "tenant-b"],
    });
  });

  it("restrict nothing by empty lists, as the chart gives them", () => {
    const env = { FAIRLEAD_GATEWAY_NAMESPACES: "", FAIRLEAD_CONTROL_PLANE_NAMESPACES: "" };
    expect(parseSettings(env)).toEqual(parseSettings({}));
  });

  it.each([
    ["of the admission process", { PEPR_WATCH_MODE: "false" }, 3000],
    ["of the watch process beside it on one machine", { PEPR_WATCH_MODE: "true" }, 3001],
    [
      "of the watch process in a Pod of its own",
      { PEPR_WATCH_MODE: "true", KUBERNETES_SERVICE_HOST: "10.96.0.1" },
      3000,
    ],
    ["that is set", { PEPR_WATCH_MODE: "true", FAIRLEAD_PORT: "8443" }, 8443],
  ])("know the port %s", (_which, env, port) => {
    expect(parseSettings(env).port).toBe(port);
  });

  it.each([
    ["FAIRLEAD_PORT", "0", "FAIRLEAD_PORT is 0; give a number from 1 to 65535"],
    ["FAIRLEAD_PORT", "https", "FAIRLEAD_PORT is https; give a number from 1 to 65535"],
    [
      "FAIRLEAD_GRACE_SECONDS",
      "-1",
      "FAIRLEAD_GRACE_SECONDS is -1; give a number from 0 to 31536000",
    ],
    [
      "FAIRLEAD_GATEWAY_NAMESPACES",
      "a,B",
      "FAIRLEAD_GATEWAY_NAMESPACES holds B, which is no namespace's name; give names, separated by commas",
    ],
    [
      "FAIRLEAD_GATEWAY_NAMESPACES",
      "a",
      "FAIRLEAD_GATEWAY_NAMESPACES is set and FAIRLEAD_CONTROL_PLANE_NAMESPACES is not; give both",
    ],
    [
      "FAIRLEAD_CONTROL_PLANE_NAMESPACES",
      "a",
      "FAIRLEAD_CONTROL_PLANE_NAMESPACES is set and FAIRLEAD_GATEWAY_NAMESPACES is not; give both",
    ],
    [
      "FAIRLEAD_PEPR_LOG_LEVEL",
      "loud",
      "FAIRLEAD_PEPR_LOG_LEVEL is loud; give one of debug, info, warn, error, fatal, silent",
    ],
    [
      "FAIRLEAD_ADMISSION",
      "policy",
      "FAIRLEAD_ADMISSION is policy; give one of Auto, Webhook, Policy",
    ],
  ])("refuse %s=%s in a sentence", (name, value, sentence) => {
    expect(() => parseSettings({ [name]: value })).toThrow(sentence);
  });
});
