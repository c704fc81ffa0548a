/** A piece that is smaller, and comes less than this time after the one before it, is one of a row. */
const SMALL_BYTES = 4096;
const MAX_GAP_MS = 1;
/** After so many of a row, those of the next millisecond are joined. */
const SENT_ALONE = 16;
const JOINED_MS = 1;

/**
 * Joins the pieces of a body that comes in many small ones, as an engine sends a log line by line: sending a piece costs more than the
 * piece itself.
 */
export class SmallPieces {
  private lastAt = 0;
  private inARow = 0;
  private pieces: Buffer[] = [];
  private timer: NodeJS.Timeout | undefined;

  /** @param send takes the bytes of one or more pieces, in their order */
  constructor(private readonly send: (bytes: Buffer) => void) {}

  /** Sends a piece, at once or within a millisecond. */
  push(bytes: Buffer): void {
    const now = performance.now();
    this.inARow = bytes.length < SMALL_BYTES && now - this.lastAt < MAX_GAP_MS ? this.inARow + 1 : 0;
    this.lastAt = now;
    if (this.inARow > SENT_ALONE) {
      this.pieces.push(bytes);
      this.timer ??= setTimeout(() => this.flush(), JOINED_MS);
      return;
    }
    this.flush();
    this.send(bytes);
  }

  /** Sends what is not sent yet. */
  flush(): void {
    const { pieces } = this;
    this.drop();
    if (pieces.length > 0) this.send(Buffer.concat(pieces));
  }

  /** Forgets what is not sent yet: nobody takes it any more. */
  drop(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.pieces = [];
  }
}
