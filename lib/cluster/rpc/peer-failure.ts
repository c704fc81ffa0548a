import { AppError } from "../../errors";

/** A request or an RPC call that a peer did not answer properly. */
export class PeerFailure extends Error {
  constructor(
    readonly peer: string,
    readonly reason: string,
    /** whether the peer may have received it */
    readonly sent: boolean,
    /** whether it says nothing about the peer's health: the peer answered with an error, or the caller aborted */
    readonly healthNeutral = false,
  ) {
    super(`${peer}: ${reason}`);
  }

  /** The error for the client if the request can't be retried on another node. */
  toAppError(): AppError {
    return new AppError("NODE_FAILED", {
      message: `The node ${this.peer} gave no answer: ${this.reason}`,
      details: { node: this.peer, sent: this.sent },
    });
  }
}
