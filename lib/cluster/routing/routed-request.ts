import type { IncomingHttpHeaders } from "node:http";
import type { Readable } from "node:stream";
import type { Access } from "../../access/access";
import type { Reply } from "../../support/reply";
import type { PeerRequest } from "../rpc/signatures";
import type { Where } from "./where";

/**
 * One request on its way from Express to its handler, on this node or on another. Every routing step reads this value and
 * either replies or hands it on.
 */
export interface RoutedRequest {
  readonly where: Where;
  readonly method: string;
  /** Path and query as the client wrote them. */
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  /** Identity of the client, as used by the audit log and the rate limits. */
  readonly identity: string;
  /** What the client may do. */
  readonly access: Access;
  /** The signed claim of the node that forwarded this request; such a request always runs here. */
  readonly peer: PeerRequest | undefined;
  /** Name of the node that `?node=` asks for. */
  readonly pinnedNode: string | undefined;
  /** The `:id` or `:name` of the path: a container, a volume or a node. */
  readonly id: string | undefined;
  /** The query, parsed by the route's schema. */
  readonly query: object;
  /** Whether the client asked for an explanation of the placement. */
  readonly explain: boolean;
  /** Aborted when the client, or the node that forwarded the request, disconnects. */
  readonly clientSignal: AbortSignal;
  /** Aborted when the client disconnects or this server stops. */
  readonly streamSignal: AbortSignal;
  /** Whether the route takes a body that is read whole; any other body streams. */
  readonly readsBody: boolean;
  /** Whether the route answers with an upgrade of the connection. */
  readonly upgrade: boolean;
  /** The unread body. */
  readonly rawBody: Readable;
  /**
   * Reads and validates the whole body.
   * @throws AppError INVALID_BODY, INVALID_INPUT, BODY_TOO_LARGE, UNSUPPORTED_MEDIA_TYPE
   */
  readBody(): Promise<object>;
  /**
   * Calls the route's handler on this host.
   * @param body replaces the client's body: the body of a plan
   * @param onStarted called when the run's container has started, which can be long before the reply
   */
  runHere(body?: object, onStarted?: () => void): Promise<Reply>;
}

/** Takes a request to where it runs and returns the reply. */
export type Dispatch = (request: RoutedRequest) => Promise<Reply>;

/**
 * The request's Idempotency-Key; undefined if it has none or an empty one. Keys of a narrow token are its own, and those of all tokens
 * with the same id: another client's key must not lead to its containers.
 */
export function idempotencyKeyOf({ headers, access }: Pick<RoutedRequest, "headers" | "access">): string | undefined {
  const key = headers["idempotency-key"];
  if (typeof key !== "string" || key === "") return undefined;
  return access.claim ? `${access.claim.id} ${key}` : key;
}
