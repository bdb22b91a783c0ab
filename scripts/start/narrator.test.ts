import { Narrator, StoryError } from "./narrator";
import { createStyle } from "./render";

function narrator(): { readonly tell: Narrator; readonly text: () => string } {
  const written: string[] = [];
  const sink = { write: (text: string) => written.push(text) };
  return {
    tell: new Narrator(sink, createStyle({ colours: false })),
    text: () => written.join(""),
  };
}

describe("the narrator", () => {
  test("prints a claim that holds, and counts it", () => {
    const { tell, text } = narrator();
    tell.claim("water is wet", true);
    expect(text()).toBe("   ✓ water is wet\n");
    expect(tell.claims).toBe(1);
  });

  test("throws what is there instead of a claim that does not hold, and prints nothing", () => {
    const { tell, text } = narrator();
    expect(() => {
      tell.claim("water is dry", false, "it is wet");
    }).toThrow(new StoryError("water is dry – but it is wet"));
    expect(text()).toBe("");
    expect(tell.claims).toBe(0);
  });

  test("numbers its chapters", () => {
    const { tell, text } = narrator();
    tell.chapter("First");
    tell.chapter("Second");
    expect(text()).toBe("\n1. First\n\n2. Second\n");
  });

  test("prints no private key, wherever it comes from", () => {
    const { tell, text } = narrator();
    const object = { key: "-----BEGIN PRIVATE KEY-----\nabc\n" };
    expect(() => {
      tell.change("a change", {}, object);
    }).toThrow("private key");
    expect(text()).not.toContain("PRIVATE");
  });
});
