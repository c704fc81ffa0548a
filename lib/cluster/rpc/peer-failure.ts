import { AppError } from "../../errors";

/** A peer that gave no answer: before it can have got the request, or after. */
export class PeerFailure extends Error {
  constructor(
    readonly peer: string,
    readonly reason: string,
    readonly sent: boolean,
    /** it says nothing against the peer: it did answer, with an error, or the asker gave up */
    readonly blameless = false,
  ) {
    super(`${peer}: ${reason}`);
  }

  /** As the client of a request that can't be tried elsewhere sees it. */
  toAppError(): AppError {
    return new AppError("NODE_FAILED", {
      message: `The node ${this.peer} gave no answer: ${this.reason}`,
      details: { node: this.peer, sent: this.sent },
    });
  }
}
