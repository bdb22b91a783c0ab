import { parseStartArguments } from "./options";

describe("the arguments of npm start", () => {
  test("without any, the story is told on the embedded cluster and the user stays", () => {
    expect(parseStartArguments([])).toEqual({
      kind: "run",
      once: false,
      json: false,
      version: undefined,
      kubeconfig: undefined,
      dataPlane: "run",
      picture: undefined,
      webhookHost: undefined,
    });
  });

  test("an existing cluster and how it reaches this machine", () => {
    const args = ["--once", "--json", "--kubeconfig", "k", "--webhook-host=host.k3d.internal"];
    expect(parseStartArguments(args)).toEqual({
      kind: "run",
      once: true,
      json: true,
      version: undefined,
      kubeconfig: "k",
      dataPlane: "run",
      picture: undefined,
      webhookHost: "host.k3d.internal",
    });
  });

  test("without the data plane, and with a place for the picture", () => {
    expect(parseStartArguments(["--no-data-plane"])).toMatchObject({ dataPlane: "leave-out" });
    expect(parseStartArguments(["--picture", "p.html"])).toMatchObject({ picture: "p.html" });
  });

  test.each([
    [["--bogus"], /--bogus/],
    [["story"], /story/],
    [["--version"], /--version/],
    [["--version=1.33", "--kubeconfig=k"], /leave it out/],
    [["--webhook-host=h"], /goes with --kubeconfig/],
  ])("%j is refused with a sentence", (args, message) => {
    expect(parseStartArguments(args)).toEqual({
      kind: "invalid",
      message: expect.stringMatching(message) as unknown,
    });
  });

  test("help is help, whatever else is there", () => {
    expect(parseStartArguments(["-h", "--once"])).toEqual({ kind: "help" });
  });
});
