/** Kinds of errors, each with its HTTP status (docs/api.md, "Errors"). */
export const KINDS = {
  auth_error: 401,
  forbidden: 403,
  validation_error: 400,
  not_found: 404,
  conflict: 409,
  timeout: 408,
  state_error: 422,
  too_large: 413,
  headers_too_large: 431,
  range_error: 416,
  upgrade_required: 426,
  rate_limited: 429,
  compose_error: 500,
  io_error: 500,
  docker_error: 500,
  upstream_error: 502,
  unavailable: 503,
  readiness: 504,
  upstream_timeout: 504,
} as const;

export type Kind = keyof typeof KINDS;

/** Every error of this server: code, kind and default message. Clients see all three, so they don't change. */
const CATALOGUE = {
  MISSING_CREDENTIALS: ["auth_error", "Credentials are required, such as a header Authorization: Bearer TOKEN"],
  WRONG_CREDENTIALS: ["auth_error", "These credentials are not valid; a token is sent as Authorization: Bearer TOKEN"],
  TOKEN_REFUSED: ["auth_error", "This token is expired, revoked, or can't be obeyed here"],
  WRONG_TICKET: ["auth_error", "This ticket doesn't open this, or no more"],
  TOO_MANY_REQUESTS: ["rate_limited", "Too many requests, slow down"],
  TOO_MANY_WRONG_CREDENTIALS: ["rate_limited", "Too many wrong credentials from this address"],
  CROSS_SITE: ["forbidden", "Requests from pages of another origin are refused"],
  INVALID_INPUT: ["validation_error", "The request is not valid"],
  NOT_HTTP: ["validation_error", "The request can't be read as HTTP"],
  HEADERS_TOO_LARGE: ["headers_too_large", "The headers are too large"],
  INVALID_BODY: ["validation_error", "The body can't be read"],
  UNSUPPORTED_MEDIA_TYPE: ["validation_error", "The body must be application/json or application/x-www-form-urlencoded"],
  INVALID_REFERENCE: ["validation_error", "Malformed image reference"],
  INVALID_SPEC: ["validation_error", "Docker refused these options"],
  RANGE_NOT_THERE: ["range_error", "The file has no such part"],
  BODY_TOO_LARGE: ["too_large", "The body is too large"],
  COMMAND_TOO_LONG: ["too_large", "The command line is too long"],
  ABANDONED: ["timeout", "Whoever asked for this has given up"],
  REQUEST_TIMEOUT: ["timeout", "The request came too slowly"],
  NOT_ALLOWED: ["forbidden", "The policy of this server refuses this"],
  REFUSED_BY_TOKEN: ["forbidden", "The token does not permit this"],
  ROUTE_NOT_FOUND: ["not_found", "No such route"],
  METHOD_NOT_ALLOWED: ["not_found", "This path has no such method"],
  UPGRADE_REQUIRED: ["upgrade_required", "Here speaks only a WebSocket"],
  NO_SHELL: ["state_error", "There is no shell in this terminal"],
  NODE_NOT_FOUND: ["not_found", "No such node"],
  CONTAINER_NOT_FOUND: ["not_found", "No such container"],
  FILE_NOT_FOUND: ["not_found", "No such file or folder in the container"],
  LEADS_OUT: ["forbidden", "A link leads out of the container's folder"],
  READ_ONLY: ["conflict", "This place in the container is read-only"],
  IN_THE_WAY: ["conflict", "Something of another kind has this name in the container"],
  NO_SPACE: ["io_error", "There is no room left"],
  IMAGE_NOT_FOUND: ["not_found", "No such image"],
  NOT_AN_IMAGE: ["validation_error", "This is no container image"],
  IMAGE_DENIED: ["forbidden", "The registry refuses this image"],
  REGISTRY_UNREACHABLE: ["upstream_error", "The registry can't be reached"],
  AMBIGUOUS_ID: ["conflict", "More than one container has this name or id: say which with ?node=, or by its full id"],
  AMBIGUOUS_VOLUME: ["conflict", "More than one node has a volume of this name; say which with ?node="],
  NAME_TAKEN: ["conflict", "This name is taken"],
  PORT_TAKEN: ["conflict", "This host port is taken"],
  NOT_RUNNING: ["conflict", "The container is not running"],
  WRONG_STATE: ["state_error", "The container is in a state from which this can't be done"],
  NOT_MANAGED: ["conflict", "Only what POST /containers has made can be changed"],
  DOCKER_CLI_UNUSABLE: ["docker_error", "The docker command of this host can't be used with its engine"],
  COMPOSE_MISSING: ["compose_error", "docker compose is not installed on this host"],
  COMPOSE_FAILED: ["compose_error", "docker compose failed"],
  ENGINE_UNREACHABLE: ["unavailable", "The Docker engine does not answer"],
  ENGINE_TIMEOUT: ["unavailable", "The Docker engine is alive and has not finished this in time"],
  NODES_MISSING: ["unavailable", "Not found on the nodes that answer, and some don't"],
  VOLUME_NOT_FOUND: ["not_found", "No such volume"],
  VOLUME_IN_USE: ["conflict", "A container uses this volume"],
  IMAGE_IN_USE: ["conflict", "This image is in use"],
  STILL_RUNNING: ["conflict", "The container is running; stop it first, or remove it by force"],
  NO_PORT: ["validation_error", "The container publishes no TCP port: PATCH /containers/ID/ports gives a managed one a port"],
  UPSTREAM_UNREACHABLE: ["upstream_error", "The container's port can't be reached from this server, as when nothing listens at the port"],
  UPSTREAM_FAILED: ["upstream_error", "The container gave no answer that can be passed on"],
  UPSTREAM_TIMEOUT: ["upstream_timeout", "The container did not begin its answer in time"],
  NOT_READY: ["readiness", "The container was not ready in time"],
  CONTENT_TOO_LARGE: ["too_large", "This content is too large"],
  NO_ROOM: ["unavailable", "As many runs as this node takes are under way, and others wait"],
  RUN_LIMITED: ["validation_error", "A limit has ended the run"],
  RUN_NO_RESULT: ["validation_error", "The run has ended without a JSON object on its standard output, as docs/runs.md asks of an image"],
  NO_NODE: ["unavailable", "No node can take this now"],
  NOT_ACCEPTING: ["unavailable", "This node takes no new work: PATCH /nodes/:name with accepting true changes that"],
  NODE_FAILED: ["upstream_error", "A node gave no answer"],
  STOPPING: ["unavailable", "This server is stopping"],
  ENGINE_ERROR: ["docker_error", "The Docker engine failed"],
  INTERNAL: ["io_error", "Something went wrong in this server"],
} as const satisfies Record<string, readonly [Kind, string]>;

export type ErrorCode = keyof typeof CATALOGUE;

export const ERROR_CODES = Object.keys(CATALOGUE) as ErrorCode[];

export interface ErrorOptions {
  message?: string;
  /** For the client: the field at fault, candidates, and so on. Never a secret. */
  details?: Record<string, unknown>;
  /** Replaces the entry's code but keeps its kind and status: a route's document may give IMAGE_NOT_FOUND the status 400. */
  code?: ErrorCode;
  /** What the client reads as `code`, such as MISSING_IMAGE for INVALID_INPUT. The default is `code`. */
  clientCode?: string;
  /** For the log only. */
  cause?: unknown;
}

/** The one error class. Anything else that is thrown is answered as INTERNAL. */
export class AppError extends Error {
  readonly kind: Kind;
  readonly status: number;
  /** For comparisons in this program. */
  readonly code: ErrorCode;
  /** Sent to clients and peers as `code`. Not limited to the catalogue: it can name a field, or come from a newer node. */
  readonly clientCode: string;
  readonly details: Record<string, unknown>;

  /** @param entry of the catalogue: gives kind, status, and the default of code and message */
  constructor(entry: ErrorCode, options: ErrorOptions = {}) {
    const [kind, message] = CATALOGUE[entry];
    super(options.message ?? message, { cause: options.cause });
    this.name = "AppError";
    this.kind = kind;
    this.status = entry === "METHOD_NOT_ALLOWED" ? 405 : KINDS[kind];
    this.code = options.code ?? entry;
    this.clientCode = options.clientCode ?? this.code;
    this.details = options.details ?? {};
  }

  /** This error with further details. Several requests can have failed with the one object. */
  with(details: Record<string, unknown>): AppError {
    const copy = Object.assign(Object.create(AppError.prototype), this, { details: { ...this.details, ...details } }) as AppError;
    for (const name of ["message", "cause", "stack"] as const)
      Object.defineProperty(copy, name, { value: this[name], configurable: true, writable: true });
    return copy;
  }
}

/** Whether the object does not exist (or no longer): an AppError of kind not_found. */
export function isNotFound(error: unknown): boolean {
  return error instanceof AppError && error.kind === "not_found";
}

/** Whether the engine or a node can't be reached now: an AppError of kind unavailable. */
export function isUnavailable(error: unknown): boolean {
  return error instanceof AppError && error.kind === "unavailable";
}

/** Whether this version's catalogue has the code. */
export function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(CATALOGUE, code);
}

/** The fields of an error that peers send each other and event streams carry. */
export function errorFields({ kind, clientCode, message, status, details }: AppError) {
  return { error: kind, code: clientCode, message, status, details };
}

/** The JSON body of every error response. */
export function errorBody({ kind, clientCode, message, status, details }: AppError, request_id: string): object {
  return { error: kind, code: clientCode, message, status, request_id, timestamp: new Date().toISOString(), details, detail: message };
}

/**
 * The error in another node's response. A code that this version doesn't know compares as NODE_FAILED and is passed on unchanged.
 * @param body the response body
 */
export function answeredError(body: { error?: string; code?: string; message?: string; details?: Record<string, unknown> }): AppError {
  const { code: clientCode = "NODE_FAILED", message = "A node failed", details = {} } = body;
  const code = isErrorCode(clientCode) ? clientCode : "NODE_FAILED";
  const hasKind = (entry: ErrorCode) => CATALOGUE[entry][0] === body.error;
  const entry = hasKind(code) ? code : (ERROR_CODES.find(hasKind) ?? "NODE_FAILED");
  return new AppError(entry, { code, clientCode, message, details });
}

/**
 * The log fields for another node's error response whose body was streamed through unread.
 * @param code its X-Error-Code
 */
export function loggedError(status: number, code: string): { error: string; code: string } {
  const known = isErrorCode(code) ? CATALOGUE[code][0] : undefined;
  const hasStatus = (kind: string) => KINDS[kind as Kind] === status;
  const error = known && hasStatus(known) ? known : Object.keys(KINDS).find(hasStatus);
  return { error: error ?? known ?? "upstream_error", code };
}

/** @param nodes that the client may use; the first of them are named */
export function nodeNotFound(node: string, nodes: string[]): AppError {
  const shown = [...nodes.slice(0, 10), ...(nodes.length > 10 ? ["…"] : [])].join(", ");
  return new AppError("NODE_NOT_FOUND", {
    message: `No such node: ${node}${shown === "" ? "" : ` (there are: ${shown})`}`,
    details: { nodes },
  });
}

/**
 * A 400 that names the field at fault.
 * @param place dotted path of the field, such as `ports.80`
 * @param reason the rest of a sentence that begins with the field; "is required" makes the code MISSING_…
 */
export function invalidField(place: string, reason: string): AppError {
  const missing = reason === "is required";
  const field = place.slice(0, 200);
  const name = field.split(".")[0]?.replace(/\W/g, "_").slice(0, 40).toUpperCase() || "INPUT";
  return new AppError("INVALID_INPUT", {
    clientCode: `${missing ? "MISSING" : "INVALID"}_${name}`,
    message: `${field} ${reason}`,
    details: missing ? { field, provided: null } : { field },
  });
}

/** Any thrown value as an AppError: INTERNAL, with the value as its cause, unless it is one already. */
export function asAppError(thrown: unknown): AppError {
  return thrown instanceof AppError ? thrown : new AppError("INTERNAL", { cause: thrown });
}

/** The error of a name that another container has. @param node that has it, if known */
export function nameTaken(name: string, node?: string): AppError {
  return new AppError("NAME_TAKEN", {
    message: `The name ${name} is taken${node ? ` on ${node}` : ""}`,
    details: { name, ...(node ? { node } : {}) },
  });
}
