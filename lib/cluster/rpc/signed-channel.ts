import type { Signatures } from "./signatures";

/** Characters of a signature: 256 bits in base64url. */
const SIGNATURE_LENGTH = 43;

/**
 * Signs the messages of one connection. Each signature covers the connection, the direction and the message's number, so that
 * no message can be forged, repeated, dropped or copied from another connection.
 */
export class SignedChannel {
  private sentCount = 0;
  private receivedCount = 0;

  /**
   * @param sessionId unique to this connection: each side contributes a random part
   * @param side "asks" is the client's, "answers" the server's; part of what is signed
   */
  constructor(
    private readonly signatures: Signatures,
    private readonly sessionId: string,
    private readonly side: "asks" | "answers",
  ) {}

  /** @returns the message to send */
  wrap(text: string): string {
    const signature = this.signatures.sign("link", this.signedText(this.side, this.sentCount, text));
    this.sentCount += 1;
    return signature + text;
  }

  /**
   * @param message the next one received
   * @returns its text
   * @throws Error if this is not the next message of the other side, unaltered
   */
  unwrap(message: string): string {
    const text = message.slice(SIGNATURE_LENGTH);
    const otherSide = this.side === "asks" ? "answers" : "asks";
    if (!this.signatures.verify("link", this.signedText(otherSide, this.receivedCount, text), message.slice(0, SIGNATURE_LENGTH)))
      throw new Error("a message's signature is not valid");
    this.receivedCount += 1;
    return text;
  }

  private signedText(side: string, number: number, text: string): string {
    return `${this.sessionId} ${side} ${number}\n${text}`;
  }
}
