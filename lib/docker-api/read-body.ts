import type { Request } from "express";
import { digestOf } from "../cluster/rpc/signatures";
import { AppError } from "../errors";
import { drainBody } from "../support/drain-body";
import { READS_OFFERED_BODIES } from "../support/offered-bodies";
import { readOfferedBody } from "./hijack";

/**
 * Reads the whole body of a request, also of one that offers an upgrade.
 * @param signedDigest of the body, if another node has sent the request
 * @throws AppError BODY_TOO_LARGE, INVALID_BODY
 */
export async function readWholeBody(
  request: Request,
  limitBytes: number,
  signedDigest: { digest?: string | undefined } | undefined,
): Promise<Buffer> {
  const { upgradeOffer: offer } = request;
  const body = offer && !READS_OFFERED_BODIES ? await readOfferedBody(offer, limitBytes) : await readStream(request, limitBytes);
  if (signedDigest && signedDigest.digest !== (body.length > 0 ? digestOf(body) : undefined))
    throw new AppError("INVALID_BODY", { message: "The body is not the one that was signed" });
  return body;
}

async function readStream(request: Request, limitBytes: number): Promise<Buffer> {
  const { socket } = request;
  if (socket.destroyed && !request.complete) throw new AppError("INVALID_BODY", { message: "The body ended too early" });
  let onClose = () => {};
  try {
    return await new Promise((resolve, reject) => {
      const chunks: Buffer[] = [];
      let size = 0;
      const take = (chunk: Buffer) => {
        size += chunk.length;
        chunks.push(chunk);
        if (size <= limitBytes) return;
        request.off("data", take);
        drainBody(request);
        reject(new AppError("BODY_TOO_LARGE"));
      };
      onClose = () => reject(new AppError("INVALID_BODY", { message: "The body ended too early" }));
      // A request that offers an upgrade doesn't end with its connection.
      socket.once("close", onClose);
      request
        .on("data", take)
        .once("end", () => resolve(Buffer.concat(chunks)))
        .once("close", onClose)
        .once("error", reject);
    });
  } finally {
    socket.off("close", onClose);
  }
}
