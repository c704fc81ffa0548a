import type { Signatures } from "./signatures";

/** Length of a signature: 256 bits in base64url. */
const SIGNATURE = 43;

/**
 * The messages of one link. Each is numbered and signed for this link and direction alone: none can be forged, repeated,
 * left out or taken over from another.
 */
export class SignedChannel {
  private sent = 0;
  private received = 0;

  /**
   * @param session what only this link has, chosen by both of its ends
   * @param end which of the two this is
   */
  constructor(
    private readonly signatures: Signatures,
    private readonly session: string,
    private readonly end: "asks" | "answers",
  ) {}

  /** @returns the next message to send */
  wrap(text: string): string {
    const signature = this.signatures.sign("link", this.numbered(this.end, this.sent, text));
    this.sent += 1;
    return signature + text;
  }

  /**
   * @param message the next one that came
   * @throws Error if the other end did not send it so
   */
  unwrap(message: string): string {
    const text = message.slice(SIGNATURE);
    const other = this.end === "asks" ? "answers" : "asks";
    if (!this.signatures.verify("link", this.numbered(other, this.received, text), message.slice(0, SIGNATURE)))
      throw new Error("a message's signature is not valid");
    this.received += 1;
    return text;
  }

  private numbered(end: string, number: number, text: string): string {
    return `${this.session} ${end} ${number}\n${text}`;
  }
}
