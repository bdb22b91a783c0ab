import { AdmissionNotes, mendResponse, type AdmissionResponse } from "./admission";

type Operations = readonly {
  readonly op: string;
  readonly path: string;
  readonly value?: unknown;
}[];

const encode = (operations: Operations): string =>
  Buffer.from(JSON.stringify(operations)).toString("base64");
const decode = (patch: string | undefined): unknown =>
  patch === undefined ? undefined : JSON.parse(Buffer.from(patch, "base64").toString("utf8"));

function patched(operations: Operations): AdmissionResponse {
  return { uid: "1", allowed: true, patchType: "JSONPatch", patch: encode(operations) };
}

function mend(response: AdmissionResponse, notes = new AdmissionNotes()): AdmissionResponse {
  mendResponse(response, notes);
  return response;
}

describe("a denial", () => {
  const denied = (warnings: string[]): AdmissionResponse => ({
    uid: "1",
    allowed: false,
    result: "Pepr module configured to reject on error",
    warnings,
  });

  it("has the capability's sentence as its status, and no warning", () => {
    expect(mend(denied(["Action failed: fairlead: mend this."]))).toEqual({
      uid: "1",
      allowed: false,
      status: { code: 403, reason: "Forbidden", message: "fairlead: mend this." },
    });
  });

  it("says whose it is, also for an error that does not", () => {
    expect(mend(denied(["Action failed: broken"])).status?.message).toBe("fairlead: broken");
    expect(mend(denied([])).status?.message).toMatch(/^fairlead: .+log\.$/);
  });

  it("shows no warnings that were meant for an allowed object", () => {
    const notes = new AdmissionNotes();
    notes.warn("1", "fairlead: look.");

    expect(mend(denied(["Action failed: fairlead: no."]), notes).warnings).toBeUndefined();
    expect(notes.take("1")).toEqual([]);
  });
});

describe("a patch", () => {
  it.each([
    [[{ op: "add", path: "/metadata/annotations/fairlead.pepr.dev~1pods", value: "succeeded" }]],
    [
      [
        {
          op: "replace",
          path: "/metadata/annotations/fairlead.pepr.dev~1pods",
          value: "succeeded",
        },
      ],
    ],
    [
      [
        {
          op: "add",
          path: "/metadata/annotations",
          value: { "fairlead.pepr.dev/pods": "succeeded" },
        },
      ],
    ],
    [
      [
        {
          op: "add",
          path: "/metadata",
          value: { annotations: { "fairlead.pepr.dev/pods": "succeeded" } },
        },
      ],
    ],
  ])("of nothing but Pepr's mark goes: %j", (operations) => {
    expect(mend(patched(operations))).toEqual({ uid: "1", allowed: true });
  });

  it("keeps everything but Pepr's mark", () => {
    const spec = { op: "add", path: "/spec/trafficDistribution", value: "PreferClose" };
    const own = { "fairlead.dev/traffic-distribution": "PreferClose" };
    const mended = mend(
      patched([
        { op: "add", path: "/metadata/annotations", value: { ...own, "fairlead.pepr.dev/x": "y" } },
        { op: "remove", path: "/metadata/annotations/fairlead.dev~1contested" },
        spec,
      ]),
    );

    expect(mended.patchType).toBe("JSONPatch");
    expect(decode(mended.patch)).toEqual([
      { op: "add", path: "/metadata/annotations", value: own },
      { op: "remove", path: "/metadata/annotations/fairlead.dev~1contested" },
      spec,
    ]);
  });

  it("keeps other metadata of an object that had none", () => {
    const marked = { "fairlead.pepr.dev/pods": "succeeded" };
    const [own, labels] = [{ a: "b" }, { c: "d" }];
    const of = (value: object) =>
      decode(mend(patched([{ op: "add", path: "/metadata", value }])).patch);

    expect(of({ labels, annotations: { ...marked, ...own } })).toEqual([
      { op: "add", path: "/metadata", value: { labels, annotations: own } },
    ]);
    expect(of({ labels, annotations: marked })).toEqual([
      { op: "add", path: "/metadata", value: { labels } },
    ]);
  });

  it("of other fields stays as it is", () => {
    const operations = [
      { op: "add", path: "/metadata/annotationsfairlead.pepr.dev~1", value: 1 },
      { op: "remove", path: "/metadata/annotations" },
      { op: "add", path: "/spec/ä", value: "ü" },
    ];

    expect(decode(mend(patched(operations)).patch)).toEqual(operations);
  });
});

describe("notes", () => {
  it("become warnings of their request's answer alone, each once", () => {
    const notes = new AdmissionNotes();
    notes.warn("1", "a");
    notes.warn("1", "b");
    notes.warn("1", "a");
    notes.warn("2", "c");

    expect(mend({ uid: "1", allowed: true }, notes)).toEqual({
      uid: "1",
      allowed: true,
      warnings: ["a", "b"],
    });
    expect(mend({ uid: "1", allowed: true }, notes)).toEqual({ uid: "1", allowed: true });
    expect(notes.take("2")).toEqual(["c"]);
  });

  it("of requests that are never answered do not pile up", () => {
    const notes = new AdmissionNotes();
    for (let uid = 0; uid <= 1_000; uid += 1) notes.warn(String(uid), "a");

    expect(notes.take("0")).toEqual([]);
    expect(notes.take("1000")).toEqual(["a"]);
  });
});
