import { AppError, type ErrorCode } from "../errors";

/** The operation that failed: one error text of Docker can mean different errors in different operations. */
export type EngineOperation = "pull" | "create" | "start" | "write" | "call" | "compose";

interface Rule {
  pattern: RegExp;
  code: ErrorCode;
  /** all operations if absent */
  operations?: EngineOperation[];
}

/**
 * Maps Docker's error texts to codes: the engine sends most of these errors as 500, and the CLI has no status at all.
 * Texts of engines 20.10 to 28 and of Podman 5.8. The first match counts.
 */
const RULES: Rule[] = [
  {
    // The engine refuses an API version; a CLI from 29 on refuses the engine; a CLI lacks a flag of this server's command line.
    pattern:
      /client version \S+ is too (?:old|new)|client is newer than server|API version \S+ is not supported by this client|^unknown (?:shorthand )?flag/i,
    code: "DOCKER_CLI_UNUSABLE",
  },
  {
    pattern:
      /cannot connect to the docker daemon|error during connect|is the docker daemon running|permission denied while trying to connect/i,
    code: "ENGINE_UNREACHABLE",
  },
  // The CLI lost the engine in the middle of an answer. It asks no registry in these.
  { pattern: /\bEOF$|connection reset by peer|broken pipe/im, code: "ENGINE_UNREACHABLE", operations: ["create", "compose"] },
  {
    pattern: /invalid reference format|invalid repository name|repository name must|invalid checksum digest|unsupported digest algorithm/i,
    code: "INVALID_REFERENCE",
  },
  {
    pattern: /no such image|image not known|no matching manifest for|manifest unknown|manifest for .* not found/i,
    code: "IMAGE_NOT_FOUND",
  },
  {
    // With the containerd image store this text also says that the repository may not exist.
    pattern: /no basic auth credentials/i,
    code: "IMAGE_DENIED",
    operations: ["pull"],
  },
  {
    pattern: /repository does not exist or may require|repository .*not found|failed to resolve reference.*not found/i,
    code: "IMAGE_NOT_FOUND",
    operations: ["pull"],
  },
  {
    pattern: /unauthorized|authentication required|denied|incorrect username or password|forbidden/i,
    code: "IMAGE_DENIED",
    operations: ["pull"],
  },
  { pattern: /unknown operating system or architecture|is an invalid (?:OS )?component of/i, code: "INVALID_SPEC", operations: ["pull"] },
  {
    // Of an artifact that is not an image, such as a Helm chart: engines to 20.10, from 23, and with the containerd image store.
    pattern:
      /encountered remote .* when fetching|unsupported media ?type|mismatched image rootfs|no unpack platforms? defined|invalid rootfs/i,
    code: "NOT_AN_IMAGE",
    operations: ["pull"],
  },
  {
    pattern:
      /dial tcp|no such host|timeout|connection refused|tls handshake|x509|http response to https|deadline exceeded|eof|toomanyrequests|unexpected http status|error parsing http|connection reset/i,
    code: "REGISTRY_UNREACHABLE",
    operations: ["pull"],
  },
  // The second is Podman's answer to a rename.
  { pattern: /container name .* is already in use|UNIQUE constraint failed: ContainerConfig\.Name/i, code: "NAME_TAKEN" },
  // Podman prepares the command when the container is attached to, before its start.
  { pattern: /^preparing container \S+ for attach: .*(?:not found|no such file or directory|permission denied)/i, code: "INVALID_SPEC" },
  { pattern: /port is already allocated|address already in use|failed to bind .*port|ports are not available/i, code: "PORT_TAKEN" },
  {
    // From "no such exec" on: the container ended during the operation. For a missing container the text includes its name.
    pattern:
      /(?:is|container) not running|only be used on running containers|is (?:already |not )?paused|pause a stopped container|is restarting|container .* is stopped|exec in a (?:stopped|paused) container|no such exec|^no such container$|container does not exist|container state improper|ttrpc: closed/i,
    code: "NOT_RUNNING",
    operations: ["call", "write", "start"],
  },
  { pattern: /no such container/i, code: "CONTAINER_NOT_FOUND", operations: ["call", "write", "start"] },
  {
    pattern: /no space left|input\/output error|read-only file system|layer does not exist|failed to register layer|out of memory/i,
    code: "ENGINE_ERROR",
  },
];

/** Texts of a failed start that are caused by the options of the request, not by the engine. */
const BAD_START_OPTION =
  /executable file not found|file name too long|no such file or directory|permission denied|exec format error|is a directory|not a directory|unable to find user|no matching entries in passwd|unable to find group|network .* not found|invalid|unknown|out of range|range of|minimum|cannot|must be|not supported|no such device|operation not permitted|oci runtime create failed/i;

/**
 * Turns a failure of the docker CLI into an AppError.
 * @param error the rejection of docker-cli-js
 */
export function toAppErrorFromCli(error: { stderr?: string; message?: string }, operation: EngineOperation): AppError {
  if (error instanceof AppError) return error;
  const message = cleanMessage(error.stderr ?? error.message ?? "");
  if (/docker: (not found|command not found)|: docker: not found/.test(message)) {
    return new AppError("ENGINE_ERROR", { message: "The docker command is not installed on this host", cause: error });
  }
  const known = matchRule(message, operation);
  if (known === "DOCKER_CLI_UNUSABLE") {
    const command = operation === "compose" ? "Docker Compose" : "The docker command";
    const fault = /too new|newer than|not supported by this client/i.test(message) ? "too new" : "too old";
    return new AppError(known, { message: `${command} of this host is ${fault} for its engine: ${message}`, cause: message });
  }
  // No rule matches: at a create the options are invalid, at a pull the registry failed.
  const fallback =
    operation === "pull"
      ? "REGISTRY_UNREACHABLE"
      : operation === "compose" && !BAD_START_OPTION.test(message)
        ? "COMPOSE_FAILED"
        : "INVALID_SPEC";
  return new AppError(known ?? fallback, { message, cause: message });
}

interface EngineFailure {
  statusCode?: number;
  json?: { message?: string } | string | null;
  message?: string;
  code?: string;
  name?: string;
}

/** Node's error codes for a connection that stood. */
const BROKEN_CONNECTION_CODES = new Set(["ECONNRESET", "EPIPE"]);
const UNREACHABLE_CODES = new Set(["ECONNREFUSED", "ENOENT", "EACCES", "ETIMEDOUT", "EHOSTUNREACH", "ENOTFOUND", "ENOTSOCK", "EAI_AGAIN"]);

/** Node's error codes for an untrusted certificate or a failed TLS handshake. */
export const TLS_ERROR_CODE = /^(ERR_TLS_|ERR_SSL_|EPROTO|CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|HOSTNAME_MISMATCH|ERR_OSSL_)/;

/**
 * Turns an error of the Engine API into an AppError; an AppError is returned as it is.
 * @param error the rejection of dockerode, or the error of a stream of the engine
 */
export function toAppErrorFromEngine(error: unknown, operation: EngineOperation = "call"): AppError {
  if (error instanceof AppError) return error;
  const failure = (error ?? {}) as EngineFailure;
  if (failure.statusCode === undefined) {
    if (TLS_ERROR_CODE.test(failure.code ?? "")) {
      const message = `The Docker engine can't be asked over TLS: ${cleanMessage(failure.message ?? "")}`;
      return new AppError("ENGINE_UNREACHABLE", { message, cause: error });
    }
    // An engine that answers other requests may have closed this connection, or a proxy before it.
    if (BROKEN_CONNECTION_CODES.has(failure.code ?? ""))
      return new AppError("ENGINE_UNREACHABLE", { message: "The connection to the Docker engine broke", cause: error });
    const lost = UNREACHABLE_CODES.has(failure.code ?? "") || failure.name === "AbortError" || failure.name === "TimeoutError";
    return new AppError(lost ? "ENGINE_UNREACHABLE" : "ENGINE_ERROR", { cause: error });
  }
  const engineMessage = typeof failure.json === "object" ? failure.json?.message : failure.json;
  const message = cleanMessage(engineMessage ?? failure.message ?? "");
  const known = matchRule(message, operation);
  if (known) return new AppError(known, { message, cause: error });
  if (failure.statusCode === 400 || (operation === "start" && BAD_START_OPTION.test(message))) {
    return new AppError("INVALID_SPEC", { message, cause: error });
  }
  if (failure.statusCode === 404) return new AppError("CONTAINER_NOT_FOUND", { message, cause: error });
  if (failure.statusCode === 409) return new AppError("NOT_RUNNING", { message, cause: error });
  // Some failures of an engine have no text.
  return new AppError("ENGINE_ERROR", { ...(message === "" ? {} : { message }), cause: error });
}

function matchRule(message: string, operation: EngineOperation): ErrorCode | undefined {
  return RULES.find((rule) => rule.pattern.test(message) && (rule.operations?.includes(operation) ?? true))?.code;
}

/** The line with the reason, without the CLI's advice and prefixes; at most 2000 characters. */
function cleanMessage(text: string): string {
  const lines = text
    .split("\n")
    .map((line) => line.trim())
    .filter(Boolean);
  const reason =
    lines.find((line) => /error response from daemon|^docker: /i.test(line)) ??
    lines.find((line) => !/^(unable to find image|warning|see ')/i.test(line));
  return (reason ?? lines[0] ?? "")
    .replace(/^\(HTTP code \d+\) .*? -(?: |$)/, "")
    .replace(/^(docker: )?(error response from daemon: )?/i, "")
    .slice(0, 2000);
}
