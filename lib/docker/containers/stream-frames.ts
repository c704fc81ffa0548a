import { AppError } from "../../errors";
import { takingTurns } from "../../support/taking-turns";

export interface Frame {
  stream: "stdout" | "stderr";
  data: Buffer;
}

const HEADER_BYTES = 8;
/** Kinds of frames besides standard input and output. */
const STDERR = 2;
const ENGINE_FAILURE = 3;
/** Bytes of an engine's failure that its error shows. */
const MAX_FAILURE_BYTES = 1000;

interface CurrentFrame {
  stream: Frame["stream"] | "failure";
  remaining: number;
}

/**
 * Parses the multiplexed stream of the engine (Engine API, "Attach to a container", stream format): frames of an 8-byte header (stream, 0,
 * 0, 0, big-endian length) and the data. A frame of the kind 3 is the engine's own error.
 */
export class FrameParser {
  private rest: Buffer = Buffer.alloc(0);
  private current: CurrentFrame | undefined;
  private failure = Buffer.alloc(0);

  /** @param tty with a terminal the stream is not multiplexed: all bytes are standard output */
  constructor(private readonly tty: boolean) {}

  /**
   * Must be iterated to its end.
   * @param chunk the next bytes of the stream
   * @returns the data in them; a long frame is returned in parts, without buffering
   * @throws AppError ENGINE_ERROR with the engine's words, after the data before its failure
   */
  *push(chunk: Buffer): Generator<Frame> {
    if (this.tty) return yield { stream: "stdout", data: chunk };
    this.rest = this.rest.length === 0 ? chunk : Buffer.concat([this.rest, chunk]);
    while (this.rest.length > 0) {
      if (!this.current) {
        if (this.rest.length < HEADER_BYTES) break;
        this.current = frameAt(this.rest, 0);
        this.rest = this.rest.subarray(HEADER_BYTES);
      }
      const { current } = this;
      const data = this.rest.subarray(0, current.remaining);
      this.rest = this.rest.subarray(data.length);
      current.remaining -= data.length;
      if (current.remaining === 0) this.current = undefined;
      if (current.stream === "failure") this.addFailure(data, current.remaining);
      else if (data.length > 0) yield { stream: current.stream, data };
    }
  }

  /**
   * As `push`, but data of one stream that follows each other is one piece: a log has a frame for each of its lines, and to handle them
   * one by one costs more than to read them.
   */
  *pushJoined(chunk: Buffer): Generator<Frame> {
    if (this.tty) return yield { stream: "stdout", data: chunk };
    // A copy, in which the headers are written over.
    const bytes = Buffer.concat([this.rest, chunk]);
    let stream: Frame["stream"] = "stdout";
    let place = 0;
    let pieceStart = 0;
    let pieceEnd = 0;
    while (place < bytes.length) {
      if (!this.current) {
        if (bytes.length - place < HEADER_BYTES) break;
        this.current = frameAt(bytes, place);
        place += HEADER_BYTES;
      }
      const { current } = this;
      if (current.stream === "failure") break;
      if (current.stream !== stream) {
        if (pieceEnd > pieceStart) yield { stream, data: bytes.subarray(pieceStart, pieceEnd) };
        stream = current.stream;
        pieceStart = pieceEnd;
      }
      const end = Math.min(bytes.length, place + current.remaining);
      bytes.copyWithin(pieceEnd, place, end);
      pieceEnd += end - place;
      current.remaining -= end - place;
      place = end;
      if (current.remaining === 0) this.current = undefined;
    }
    if (pieceEnd > pieceStart) yield { stream, data: bytes.subarray(pieceStart, pieceEnd) };
    this.rest = bytes.subarray(place);
    if (this.current?.stream === "failure") yield* this.push(Buffer.alloc(0));
  }

  private addFailure(data: Buffer, remaining: number): void {
    this.failure = Buffer.concat([this.failure, data.subarray(0, MAX_FAILURE_BYTES - this.failure.length)]);
    if (remaining > 0) return;
    throw new AppError("ENGINE_ERROR", { message: `The Docker engine can't read on: ${this.failure.toString().trim()}` });
  }
}

function frameAt(bytes: Buffer, place: number): CurrentFrame {
  const kind = bytes[place];
  return {
    stream: kind === ENGINE_FAILURE ? "failure" : kind === STDERR ? "stderr" : "stdout",
    remaining: bytes.readUInt32BE(place + HEADER_BYTES / 2),
  };
}

/**
 * Parses a stream into frames as it arrives. Other work of this process gets its turn, however many frames there are.
 * @throws AppError ENGINE_ERROR as `FrameParser.push`
 */
export function framesOf(stream: AsyncIterable<Buffer>, tty: boolean): AsyncGenerator<Frame> {
  return takingTurns(parseFrames(stream, tty));
}

async function* parseFrames(stream: AsyncIterable<Buffer>, tty: boolean): AsyncGenerator<Frame> {
  const parser = new FrameParser(tty);
  for await (const chunk of stream) yield* parser.push(chunk);
}
