import { timeOfMessage } from "./launch";

const log = [
  "not JSON: controllers started",
  '{"level":30,"time":1000,"msg":"the controllers started late"}',
  '{"level":30,"time":2000,"msg":"controllers started"}',
  '{"level":30,"time":3000,"msg":"controllers st',
].join("\n");

describe("the time of a message", () => {
  test("is the one that its line says", () => {
    expect(timeOfMessage(log, "controllers started")).toBe(2_000);
  });

  test("is not known before it is written", () => {
    expect(timeOfMessage(log, "controllers")).toBeUndefined();
  });
});
