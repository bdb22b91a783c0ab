import { sentence } from "./cel";

describe("a sentence as an expression", () => {
  it("is the template's words, with the expressions in their places", () => {
    const greet = ({ name, what }: { name: string; what: string }) => `"${what}", says ${name}.`;

    expect(sentence(greet, { name: "object.name", what: "variables.what" })).toBe(
      String.raw`"\"" + variables.what + "\", says " + object.name + "."`,
    );
  });

  it("has no empty words at its ends", () => {
    const plain = ({ name }: { name: string }) => name;

    expect(sentence(plain, { name: "object.name" })).toBe("object.name");
  });
});
