import { webhookRules } from "./webhook";
import { widthOf } from "./webhook-state";

describe("the width of the webhook", () => {
  const scope = { serviceNames: ["named"], namespaces: ["tenant"] };
  const beside = { ...scope, policies: true };

  it.each([
    ["wide", webhookRules(scope)],
    ["other", webhookRules()],
    ["other", { ...webhookRules(scope), timeoutSeconds: 20 }],
    ["other", { matchConditions: [] }],
    ["other", {}],
    ["narrow", webhookRules(beside)],
    ["narrow", webhookRules({ ...beside, except: ["tenant", "another"] })],
  ])("is %s of %j", (width, live) => {
    expect(widthOf({ ...live }, scope)).toBe(width);
  });

  it("is none of the known ones where there is no webhook", () => {
    expect(widthOf(undefined, scope)).toBe("other");
  });
});
