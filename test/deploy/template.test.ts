import { parseAllDocuments } from "yaml";
import {
  checksum,
  fillIn,
  item,
  joined,
  sorted,
  toManifest,
  toTemplate,
  value,
  type Entry,
} from "../../deploy/template";

const parse = (text: string): unknown[] =>
  parseAllDocuments(text).map((document) => document.toJS() as unknown);

describe("entries with values", () => {
  const values = { on: true, off: false, size: { limits: { cpu: 1 } }, names: ["b", "a"] };

  it("have values, sorted lists and hashes in the placeholders' places, and all else as it is", () => {
    const object = {
      kind: "K",
      size: value("size"),
      cpu: [value("size.limits.cpu")],
      names: sorted("names"),
      joined: [joined("names", "on"), joined("names", "off")],
      hash: checksum("size"),
      text: "names",
    };
    const [filled] = fillIn([{ object }], values);

    expect(filled).toEqual({
      kind: "K",
      size: { limits: { cpu: 1 } },
      cpu: [1],
      names: ["a", "b"],
      joined: ["b,a", ""],
      hash: "f1a7be2ad6ca2bcc76110b321b64dd32c47343a97d186e306532ec99ccad240e",
      text: "names",
    });
  });

  it("are there if their conditions hold, and once for each element", () => {
    const entries: Entry[] = [
      { object: { n: 1 }, when: [{ path: "on", is: true }] },
      { object: { n: 2 }, when: [{ path: "off", is: true }] },
      {
        object: { n: 3 },
        when: [
          { path: "on", is: true },
          { path: "on", is: false },
        ],
      },
      { object: { name: item }, each: "names" },
    ];

    expect(fillIn(entries, values)).toEqual([{ n: 1 }, { name: "b" }, { name: "a" }]);
  });

  it.each([
    [{ object: { a: value("size.none") } }, "there is no value size.none"],
    [{ object: { a: item } }, "item outside of an entry with each"],
  ])("fail for what can't be: %#", (entry, message) => {
    expect(() => fillIn([entry], values)).toThrow(message);
  });
});

describe("a manifest", () => {
  it("reads back as it was, whatever an older YAML would read it as", () => {
    const objects = [
      {
        text: "a: b\n  # no comment\n",
        yes: "yes",
        on: "on",
        octal: "0777",
        empty: "",
        long: "x y ".repeat(99),
      },
      { nothing: null, list: [], map: {}, expression: 'a ||\nb == "{{ c }}"' },
    ];
    const text = toManifest(objects);

    expect(parse(text)).toEqual(objects);
    expect(text).toContain('"yes": "yes"');
    expect(text).toContain('octal: "0777"');
  });

  it("repeats what is there twice instead of referring to it", () => {
    const labels = { app: "x" };

    expect(toManifest([{ labels, selector: labels }])).not.toMatch(/[&*]/);
  });
});

describe("a template", () => {
  it("has Helm's expressions in the placeholders' places, and for conditions and repetition", () => {
    const entry: Entry = {
      object: {
        name: item,
        size: value("size"),
        names: sorted("names"),
        joined: joined("names", "on"),
        hash: checksum("a.b"),
      },
      when: [
        { path: "on", is: true },
        { path: "off", is: false },
      ],
      each: "names",
    };

    expect(toTemplate(entry).split("\n")).toEqual([
      "{{- if and $.Values.on (not $.Values.off) }}",
      "{{- range $item := $.Values.names }}",
      "---",
      "name: {{ toJson $item }}",
      "size: {{ toJson $.Values.size }}",
      "names: {{ toJson (sortAlpha $.Values.names) }}",
      'joined: {{ toJson (ternary (join "," $.Values.names) "" $.Values.on) }}',
      "hash: {{ toJson (sha256sum (toJson $.Values.a.b)) }}",
      "{{- end }}",
      "{{- end }}",
      "",
    ]);
  });

  it("hands braces that are not Helm's to Helm as a text", () => {
    const template = toTemplate({ object: { summary: 'at {{ $labels.pod }}: "x"\n' } });

    expect(template).toBe('---\nsummary: {{ toJson "at {{ $labels.pod }}: \\"x\\"\\n" }}\n');
  });

  it("leaves what looks like an expression's value alone", () => {
    const text = "c2VjcmV0IHRpbWVvdXRTZWNvbmRzOiA1";

    expect(toTemplate({ object: { data: text } })).toBe(`---\ndata: ${text}\n`);
  });
});
