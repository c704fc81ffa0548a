import type { IncomingHttpHeaders } from "node:http";
import type { Readable } from "node:stream";
import type { Reply } from "../../support/reply";
import type { PeerRequest } from "../rpc/signatures";
import type { Where } from "./where";

/** A request on its way to where it runs. */
export interface RoutedRequest {
  where: Where;
  method: string;
  /** path and query */
  url: string;
  headers: IncomingHttpHeaders;
  /** identity of the client */
  caller: string;
  /** present if another node sent it: it runs here, whatever happens */
  from: PeerRequest | undefined;
  /** the node it pins itself to */
  node: string | undefined;
  /** the container it is about, or the volume */
  id: string | undefined;
  /** as the route's schema gives it */
  query: object;
  explain: boolean;
  /** Aborted when the client, or the node that sent it, has gone. */
  clientSignal: AbortSignal;
  /** Aborted when the client has gone or this server stops. */
  streamSignal: AbortSignal;
  /** The body, read whole and found valid. */
  body(): Promise<object>;
  /** Whether it reads its body whole; else the body streams. */
  readsBody: boolean;
  /** Whether it offers an upgrade, which the answer may take. */
  upgrade: boolean;
  /** The body as it comes, if nobody has read it. */
  raw: Readable;
  /**
   * Runs it on this host, with another body if one is given.
   * @param started called when a run's container has started and shows among the others, which may be long before the answer
   */
  local(body?: object, started?: () => void): Promise<Reply>;
}

/** Takes a request where it runs, and brings back the answer. */
export type Dispatch = (exchange: RoutedRequest) => Promise<Reply>;

/** The request's Idempotency-Key. */
export function keyOf({ headers }: RoutedRequest): string | undefined {
  const key = headers["idempotency-key"];
  return typeof key === "string" && key !== "" ? key : undefined;
}
