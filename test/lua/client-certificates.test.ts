import { spawnSync } from "node:child_process";
import fc from "fast-check";
import { clientCertificatesLua } from "../../capabilities/exposure/filter/client-certificates.generated";
import { envoyFilterOf } from "../../capabilities/exposure/resources";
import type { InternalGateway } from "../../lib/api";
import {
  buildEnvoyLua,
  type ClientCertificate,
  type EnvoyLua,
  type FilterRequest,
  type FilterResult,
} from "./envoy-lua";

const SECRET = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";
const HOST = "api.tenant-a.example.com";
const NOW = 1_800_000_000;
const DAY = 86_400;

const gateway: InternalGateway = {
  apiVersion: "fairlead.dev/v1alpha1",
  kind: "InternalGateway",
  metadata: { name: "default", namespace: "istio-ingress", uid: "9a" },
  spec: { selector: { istio: "ingressgateway" } },
};

/** The script as it is in the EnvoyFilter, the route secret included. */
function embeddedScript(): string {
  const found = JSON.stringify(envoyFilterOf(gateway, SECRET));
  const match = /"inline_string":("(?:[^"\\]|\\.)*")/.exec(found);
  return JSON.parse(match?.[1] ?? '""') as string;
}

const script = embeddedScript();
type Header = readonly [string, string];

const jane: ClientCertificate = {
  commonName: "jane",
  organizations: ["dev", "ops"],
  subject: "O=ops,O=dev,CN=jane",
  notBefore: NOW - DAY,
  notAfter: NOW + DAY,
};

const janesHeaders: readonly Header[] = [
  ["x-remote-user", "jane"],
  ["x-remote-group", "dev"],
  ["x-remote-group", "ops"],
  ["x-fairlead-client-certificate", SECRET],
];

const basic = (authority = HOST): readonly Header[] => [
  [":method", "GET"],
  [":path", "/api/v1/namespaces"],
  [":authority", authority],
];

function request(
  headers: readonly Header[] = [],
  more: Partial<FilterRequest> & { readonly authority?: string } = {},
): FilterRequest {
  const { authority, ...rest } = more;
  const routeName = "no-client-certificate";
  return {
    script,
    headers: [...basic(authority), ...headers],
    sni: HOST,
    routeName,
    now: NOW,
    ...rest,
  };
}

/** What is not in the request line. */
const others = ({ headers }: FilterResult): readonly Header[] =>
  headers.filter(([name]) => !name.startsWith(":"));

const isIdentity = ([name]: Header): boolean =>
  /^x[-_](remote|fairlead)[-_]/.test(name.toLowerCase());

let lua: EnvoyLua;

beforeAll(() => {
  lua = buildEnvoyLua();
}, 180_000);

afterAll(() => {
  lua.close();
});

function only(input: FilterRequest): FilterResult {
  const [result] = lua.run([input]);
  if (result === undefined) throw new Error("there is no result");
  return result;
}

const statusOf = ({ response }: FilterResult): string | undefined => response?.headers[":status"];

const spoofs: readonly (readonly Header[])[] = [
  [["X-Remote-User", "admin"]],
  [["x-remote-user", "admin"]],
  [["X-REMOTE-USER", "admin"]],
  [["x-ReMoTe-UsEr", "admin"]],
  [
    ["X-Remote-User", "admin"],
    ["X-Remote-User", "root"],
  ],
  [["X-Remote-User", ""]],
  [["X-Remote-Group", "system:masters"]],
  [
    ["x-remote-group", "system:masters"],
    ["X-Remote-Group", "a"],
  ],
  [
    ["X-Remote-User", "admin"],
    ["X-Remote-Group", "system:masters"],
  ],
  [["X-Remote-Uid", "1"]],
  [["X-Remote-Extra-Scopes", "all"]],
  [["X-Remote-Extra-acme.com%2Fproject", "p"]],
  [["X-Remote-Extra-", "empty"]],
  [["X-Remote-", "nothing"]],
  [["x_remote_user", "admin"]],
  [["x-remote_group", "system:masters"]],
  [["X-Fairlead-Client-Certificate", SECRET]],
  [["x-fairlead-client-certificate", HOST]],
  [
    ["x-fairlead-client-certificate", SECRET],
    ["x-remote-user", "admin"],
    ["x-remote-group", "system:masters"],
  ],
  [["x_fairlead_client_certificate", SECRET]],
  [["x-fairlead-anything", "1"]],
  [["x-forwarded-client-cert", 'Subject="CN=admin,O=system:masters"']],
  [["x-envoy-retry-on", "5xx"]],
  Array.from({ length: 90 }, (_, index): Header => [`X-Remote-Extra-Key${index}`, "v"]),
];

describe("what a client says about itself", () => {
  const credentials: readonly (readonly [string, readonly Header[], Partial<FilterRequest>])[] = [
    ["neither token nor certificate", [], {}],
    ["a token", [["authorization", "Bearer t"]], {}],
    ["a certificate", [], { certificate: jane }],
    ["both", [["authorization", "Bearer t"]], { certificate: jane }],
  ];

  it.each(credentials)("changes nothing for a client with %s", (_name, headers, more) => {
    const expected = others(only(request(headers, more)));
    const results = lua.run(spoofs.map((spoof) => request([...spoof, ...headers], more)));
    for (const [index, result] of results.entries()) {
      expect({ spoof: index, ...result, headers: others(result) }).toEqual({
        spoof: index,
        headers: expected,
        logs: [],
      });
    }
  });

  it("leaves all other headers alone, in their order", () => {
    const name = fc
      .stringMatching(/^[a-zA-Z][a-zA-Z0-9_-]{0,20}$/)
      .map((text) => text.toLowerCase())
      .filter((text) => !/^(x-envoy|x-forwarded-client|upgrade$|connection$)/.test(text));
    const identity = fc
      .tuple(
        fc.constantFrom("x-remote-", "X-Remote-", "x_remote_", "x-fairlead-", "X-FAIRLEAD-"),
        fc.stringMatching(/^[a-zA-Z0-9_-]{0,12}$/),
      )
      .map(([prefix, rest]) => prefix + rest);
    const header = fc.tuple(fc.oneof(name, identity), fc.string({ maxLength: 12 }));
    const samples = fc.sample(fc.array(header, { maxLength: 24 }), { numRuns: 400, seed: 1 });
    const results = lua.run(samples.map((headers) => request(headers)));
    expect(results.map(others)).toEqual(
      samples.map((headers) => headers.filter((entry) => !isIdentity(entry))),
    );
  });

  it("gives a client with a certificate its own identity alone", () => {
    const text = fc.stringMatching(/^[!-~]([ -~]{0,20}[!-~])?$/);
    const subjects = fc.sample(fc.tuple(text, fc.array(text, { maxLength: 8 }), fc.nat(23)), {
      numRuns: 200,
      seed: 2,
    });
    const results = lua.run(
      subjects.map(([commonName, organizations, index]) =>
        request(spoofs[index], {
          certificate: { ...jane, commonName, organizations, subject: "CN=one" },
        }),
      ),
    );
    expect(results.map(({ headers }) => headers.filter(isIdentity))).toEqual(
      subjects.map(([commonName, organizations]) => [
        ["x-remote-user", commonName],
        ...organizations.map((group) => ["x-remote-group", group]),
        ["x-fairlead-client-certificate", SECRET],
      ]),
    );
  });
});

describe("a client certificate", () => {
  it("becomes a user and groups", () => {
    expect(others(only(request([], { certificate: jane })))).toEqual(janesHeaders);
  });

  it.each([
    ["a comma", "doe, jane"],
    ["a quote", 'jane "j" doe'],
    ["letters beyond ASCII", "Jané Ünïcode 名"],
    ["colons", "system:node:worker-1"],
    ["a percent sign", "100%"],
    ["a backslash", "a\\b"],
  ])("may have a common name with %s", (_what, commonName) => {
    const result = only(request([], { certificate: { ...jane, commonName } }));
    expect(others(result)[0]).toEqual(["x-remote-user", commonName]);
  });

  it("may have 1,000 organizations, repeated ones too", () => {
    const organizations = Array.from({ length: 1000 }, (_, index) => `group-${index % 900}`);
    const result = only(request([], { certificate: { ...jane, organizations } }));
    const groups = result.headers.filter(([name]) => name === "x-remote-group");
    expect(groups.map(([, group]) => group)).toEqual(organizations);
  });

  it("loses organizations that are empty", () => {
    const certificate = { ...jane, organizations: ["", "dev", ""] };
    const result = only(request([], { certificate }));
    expect(result.headers.filter(([name]) => name === "x-remote-group")).toEqual([
      ["x-remote-group", "dev"],
    ]);
  });

  const expired = "the client certificate is expired or not yet valid";
  const names = "the client certificate has not exactly one common name";
  const user = "the client certificate's common name can't be sent in a header";
  const group = "an organization of the client certificate can't be sent in a header";
  const { notBefore: _notBefore, ...withoutBegin } = jane;
  const { notAfter: _notAfter, ...withoutEnd } = jane;

  it.each<readonly [string, ClientCertificate, string]>([
    ["is expired", { ...jane, notAfter: NOW - 1 }, expired],
    ["is not yet valid", { ...jane, notBefore: NOW + 1 }, expired],
    ["has no begin", withoutBegin, expired],
    ["has no end", withoutEnd, expired],
    ["has no subject", { ...jane, noSubject: true }, names],
    ["has no common name", { ...jane, commonName: "", subject: "O=dev" }, names],
    ["has two common names", { ...jane, subject: "CN=jane,O=dev,CN=admin" }, names],
    ["has two common names at once", { ...jane, subject: "O=dev,CN=admin+CN=jane" }, names],
    ["begins with a blank", { ...jane, commonName: " jane" }, user],
    ["ends with a blank", { ...jane, commonName: "jane " }, user],
    ["ends with a tab", { ...jane, commonName: "jane\t" }, user],
    ["is a blank", { ...jane, commonName: " " }, user],
    ["has a line break", { ...jane, commonName: "jane\r\nX-Remote-Group: system:masters" }, user],
    ["has a NUL", { ...jane, commonName: "jane\u0000admin" }, user],
    ["has a DEL", { ...jane, commonName: "jane\u007f" }, user],
    ["has an organization with a line break", { ...jane, organizations: ["dev", "a\nb"] }, group],
    ["has an organization with a NUL", { ...jane, organizations: ["a\u0000b"] }, group],
    ["has an organization with a blank", { ...jane, organizations: [" system:masters"] }, group],
  ])("is refused with 401 when it %s", (_what, certificate, message) => {
    const result = only(request([["X-Remote-User", "admin"]], { certificate }));
    expect(statusOf(result)).toBe("401");
    expect(result.response?.headers["content-type"]).toBe("application/json");
    expect(JSON.parse(result.response?.body ?? "")).toEqual({
      kind: "Status",
      apiVersion: "v1",
      metadata: {},
      status: "Failure",
      message: `fairlead: ${message}`,
      reason: "Unauthorized",
      code: 401,
    });
    expect(result.headers.filter(isIdentity)).toEqual([]);
  });

  it("is good until its last second and from its first", () => {
    const moments = [jane.notBefore ?? 0, jane.notAfter ?? 0];
    const results = lua.run(moments.map((now) => request([], { certificate: jane, now })));
    expect(results.map(others)).toEqual([janesHeaders, janesHeaders]);
  });

  it.each(["CN=a\\,CN=b,O=dev", "O=x\\+CN=y,CN=jane", "CN=a\\\\,O=b", "OU=CN=no,CN=jane"])(
    "with subject %s has one common name",
    (subject) => {
      const result = only(request([], { certificate: { ...jane, subject } }));
      expect(result.response).toBeUndefined();
    },
  );
});

describe("the host", () => {
  it.each([
    ["itself", HOST],
    ["with a port", `${HOST}:443`],
    ["with another port", `${HOST}:9443`],
    ["with an empty port", `${HOST}:`],
    ["with a final dot", `${HOST}.`],
    ["with a final dot and a port", `${HOST}.:443`],
    ["in upper case", HOST.toUpperCase()],
  ])("may be the connection's %s", (_what, authority) => {
    expect(others(only(request([], { authority, certificate: jane })))).toEqual(janesHeaders);
  });

  it("may differ from the SNI in letter case", () => {
    const result = only(request([], { sni: HOST.toUpperCase(), certificate: jane }));
    expect(others(result)).toEqual(janesHeaders);
  });

  it.each([
    ["another tenant's", "api.tenant-b.example.com"],
    ["longer", `${HOST}.evil.example.com`],
    ["longer in front", `x.${HOST}`],
    ["shorter", "tenant-a.example.com"],
    ["empty", ""],
    ["a port alone", ":443"],
    ["an IP address", "10.0.0.1:443"],
    ["an IPv6 address", "[::1]:443"],
    ["with a user before it", `user@${HOST}`],
    ["with two final dots", `${HOST}..`],
    ["with two ports", `${HOST}:443:443`],
  ])("must be the connection's: %s gets 421", (_what, authority) => {
    const result = only(request([["x-remote-user", "a"]], { authority, certificate: jane }));
    expect(statusOf(result)).toBe("421");
    expect(result.headers.filter(isIdentity)).toEqual([]);
  });

  it("must be there at all, as must the SNI and TLS", () => {
    const withoutAuthority = { ...request(), headers: [[":method", "GET"]] as const };
    const results = lua.run([
      withoutAuthority,
      request([], { sni: "" }),
      request([], { sni: "", authority: "" }),
      request([], { plain: true }),
    ]);
    expect(results.map(statusOf)).toEqual(["421", "421", "421", "421"]);
  });
});

describe("at the end of a tunnel", () => {
  const start = `fairlead_client_certificates("${SECRET}"`;
  const inTunnel = script.replace(`${start})`, `${start}, true)`);
  const ask = (sni: string, authority: string, routeName = "no-client-certificate") =>
    only(request([], { script: inTunnel, sni, authority, routeName }));

  it.each([
    ["by name", "kubernetes.default.svc", "kubernetes.default.svc"],
    ["by name and port", "kubernetes.default.svc", "kubernetes.default.svc:443"],
    ["by address, without SNI", "", "10.96.0.1"],
    ["by name, without SNI", "", "kubernetes.default.svc.cluster.local"],
  ])("a request %s goes on", (_how, sni, authority) => {
    expect(ask(sni, authority).response).toBeUndefined();
  });

  it.each([
    ["another name than the handshake's", "kubernetes.default.svc", "kubernetes.default"],
    ["an address on a connection for a name", "kubernetes", "10.96.0.1"],
  ])("a request for %s gets 421", (_what, sni, authority) => {
    expect(statusOf(ask(sni, authority))).toBe("421");
  });

  it.each(["", "api.tenant-b.example.com"])(
    "a request for a name that is not the tenant's gets 421, with SNI %j",
    (sni) => {
      expect(statusOf(ask(sni, "api.tenant-b.example.com", ""))).toBe("421");
    },
  );

  it("the name without a dot has the routes of the next one", () => {
    for (const sni of ["kubernetes", ""]) {
      const { headers, response } = ask(sni, "kubernetes:443", "");
      expect(response).toBeUndefined();
      expect(headers).toContainEqual([":authority", "kubernetes.default"]);
    }
  });

  it("and nowhere else", () => {
    const sent = request([], { sni: "kubernetes", authority: "kubernetes", routeName: "" });
    expect(only(sent).headers).not.toContainEqual([":authority", "kubernetes.default"]);
  });

  it("says who a request is from by its certificate alone", () => {
    for (const headers of spoofs) {
      const sent = request(headers, { script: inTunnel, sni: "", certificate: jane });
      const { headers: gone } = only(sent);
      expect(gone.filter(isIdentity)).toEqual(janesHeaders);
    }
  });
});

describe("an upgrade", () => {
  it.each(["Upgrade", "upgrade", "keep-alive, Upgrade", "Upgrade, X-Remote-User, x-remote-group"])(
    "with Connection: %s goes on, and names no other header",
    (connection) => {
      const headers: readonly Header[] = [
        ["upgrade", "SPDY/3.1"],
        ["connection", connection],
      ];
      expect(others(only(request(headers, { certificate: jane })))).toEqual([
        ["upgrade", "SPDY/3.1"],
        ["connection", "Upgrade"],
        ...janesHeaders,
      ]);
    },
  );
});

describe("a request whose host has no route, while its connection is drained", () => {
  const DRAINING = `${HOST}.draining.fairlead.invalid`;
  const authorityOf = ({ headers }: FilterResult) =>
    headers.find(([name]) => name === ":authority")?.[1];

  it("finds its routes under the draining name, with its identity", () => {
    const result = only(request([], { certificate: jane, routeName: "" }));
    expect(authorityOf(result)).toBe(DRAINING);
    expect(others(result)).toEqual(janesHeaders);
  });

  it("keeps its host where there is a route", () => {
    expect(authorityOf(only(request([], { certificate: jane })))).toBe(HOST);
  });

  it("is refused on a connection for the draining name, which nobody is to use", () => {
    const result = only(request([], { authority: DRAINING, sni: DRAINING }));
    expect(statusOf(result)).toBe("421");
  });
});

describe("a filter that fails", () => {
  it.each([
    "headers",
    "streamInfo",
    "get",
    "add",
    "remove",
    "routeName",
    "requestedServerName",
    "downstreamSslConnection",
    "peerCertificatePresented",
    "parsedSubjectPeerCertificate",
    "subjectPeerCertificate",
    "expirationPeerCertificate",
    "validFromPeerCertificate",
    "commonName",
    "organizationName",
  ])("in %s answers 500 instead of letting the request pass", (breaks) => {
    const spoof: readonly Header[] = [["x-remote-user", "admin"]];
    const result = only(request(spoof, { certificate: jane, breaks }));
    expect(statusOf(result)).toBe("500");
    expect(result.error).toBeUndefined();
    expect(result.logs).toHaveLength(1);
    expect(JSON.stringify([result.logs, result.response])).not.toContain(SECRET);
  });

  it("does not load without the line that starts it", () => {
    const result = only({ ...request(), script: clientCertificatesLua });
    expect(result.error).toBe("there is no envoy_on_request");
  });
});

describe("the script", () => {
  it("is that of the Lua file", () => {
    const args = [require.resolve("tsx/cli"), "scripts/embed-lua.ts", "--check"];
    const { status, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  });

  it("does not begin with the route secret, since Envoy logs its first line", () => {
    expect(script.split("\n")[0]).not.toContain(SECRET);
    expect(script.split(SECRET)).toHaveLength(2);
  });

  it.each(["", "short", 'x" os.exit() --', SECRET.toUpperCase(), `${SECRET}\n`])(
    "is not made with a malformed route secret",
    (routeSecret) => {
      expect(() => envoyFilterOf(gateway, routeSecret)).toThrow(
        "a route secret must have 32 to 128 hex digits",
      );
    },
  );
});
