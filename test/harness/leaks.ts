import { createPrivateKey } from "node:crypto";

/** Shorter pieces turn up by chance. */
const PIECE_CHARACTERS = 48;

const withoutBlanks = (text: string): string => text.replace(/\s+/g, "");

function bodyOf(privateKeyPem: string): string {
  return withoutBlanks(privateKeyPem.replace(/-----(BEGIN|END) [A-Z ]+-----/g, ""));
}

/** The forms in which a private key could be written down: PEM's lines, and base64 and hex of all of it. */
function formsOf(privateKeyPem: string): readonly string[] {
  const der = createPrivateKey(privateKeyPem).export({ type: "pkcs8", format: "der" });
  return [
    bodyOf(privateKeyPem),
    der.toString("base64"),
    der.toString("base64url"),
    der.toString("hex"),
    // A Secret's data: base64 of the PEM, which begins with what all keys have in common.
    Buffer.from(privateKeyPem).toString("base64").slice(PIECE_CHARACTERS),
  ];
}

/** What all keys of a kind begin with tells nothing. */
const COMMON_CHARACTERS = 64;

function piecesOf(form: string): readonly string[] {
  const pieces: string[] = [];
  for (let at = COMMON_CHARACTERS; at + PIECE_CHARACTERS <= form.length; at += PIECE_CHARACTERS) {
    pieces.push(form.slice(at, at + PIECE_CHARACTERS));
  }
  return pieces;
}

/** Looks for private keys, or pieces of them, in texts. */
export class LeakDetector {
  /** Piece of a key → the name of the key. */
  readonly #pieces = new Map<string, string>();

  /** How many keys are looked for. */
  get size(): number {
    return new Set(this.#pieces.values()).size;
  }

  /** Looks for a key from now on. */
  add(name: string, privateKeyPem: string): void {
    for (const form of formsOf(privateKeyPem)) {
      for (const piece of piecesOf(form)) this.#pieces.set(piece, name);
    }
  }

  /** The names of the keys of which a text holds a piece. Line breaks, escaped ones too, do not hide one. */
  find(text: string): readonly string[] {
    const plain = withoutBlanks(text.replaceAll("\\n", ""));
    const found = new Set<string>();
    for (const [piece, name] of this.#pieces) {
      if (plain.includes(piece)) found.add(name);
    }
    return [...found].sort();
  }
}
