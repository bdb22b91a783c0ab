import { webhookRules } from "./webhook";
import { hasNamespace, widthOf } from "./webhook-state";

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

  it("tells namespaces that the webhook has beside policies", () => {
    const live = { ...webhookRules({ ...beside, except: ["tenant"] }) };

    expect(hasNamespace(live, "tenant")).toBe(true);
    expect(hasNamespace(live, "tenant-a")).toBe(false);
    expect(hasNamespace({ ...webhookRules(beside) }, "tenant")).toBe(false);
    expect(hasNamespace(undefined, "tenant")).toBe(false);
  });

  it("is none of the known ones where there is no webhook", () => {
    expect(widthOf(undefined, scope)).toBe("other");
  });
});
