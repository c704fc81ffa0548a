import { type EngineOperation, toAppErrorFromCli, toAppErrorFromEngine } from "../../../lib/docker/engine-errors";
import { AppError } from "../../../lib/errors";

const DAEMON = "Error response from daemon: ";
const HELP = "\n\nRun 'docker create --help' for more information\n";

/** Texts on standard error of the docker CLI, engines 20.10 to 28. */
const CLI: [EngineOperation, string, string][] = [
  ["pull", "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?", "ENGINE_UNREACHABLE"],
  ["create", "Cannot connect to the Docker daemon at tcp://127.0.0.1:1. Is the docker daemon running?", "ENGINE_UNREACHABLE"],
  ["pull", 'error during connect: Post "http://%2Frun%2Fd.sock/v1.41/images/create": EOF', "ENGINE_UNREACHABLE"],
  ["compose", "unexpected EOF", "ENGINE_UNREACHABLE"],
  ["compose", "read unix @->/run/d.sock: read: connection reset by peer", "ENGINE_UNREACHABLE"],
  ["pull", "unexpected EOF", "REGISTRY_UNREACHABLE"],
  [
    "create",
    'permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock: Get "http://x/_ping": dial unix /var/run/docker.sock: connect: permission denied',
    "ENGINE_UNREACHABLE",
  ],
  ["pull", "invalid reference format: repository name (library/Foo) must be lowercase", "INVALID_REFERENCE"],
  ["pull", "invalid reference format", "INVALID_REFERENCE"],
  ["pull", "repository name must not be more than 255 characters", "INVALID_REFERENCE"],
  ["pull", "invalid checksum digest length", "INVALID_REFERENCE"],
  ["pull", "invalid checksum digest format", "INVALID_REFERENCE"],
  ["pull", "unsupported digest algorithm", "INVALID_REFERENCE"],
  ["pull", `${DAEMON}"nosuch": unknown operating system or architecture: invalid argument`, "INVALID_SPEC"],
  ["pull", "invalid repository name (aaaa), cannot specify 64-byte hexadecimal strings", "INVALID_REFERENCE"],
  ["pull", `${DAEMON}manifest for localhost:5000/busybox:no not found: manifest unknown: manifest unknown`, "IMAGE_NOT_FOUND"],
  [
    "pull",
    `${DAEMON}pull access denied for nosuch, repository does not exist or may require 'docker login': denied: requested access to the resource is denied`,
    "IMAGE_NOT_FOUND",
  ],
  ["pull", `${DAEMON}failed to resolve reference "localhost:5000/a:1": localhost:5000/a:1: not found`, "IMAGE_NOT_FOUND"],
  ["pull", `${DAEMON}no matching manifest for linux/arm64 in the manifest list entries`, "IMAGE_NOT_FOUND"],
  ["pull", `${DAEMON}Head "http://127.0.0.1:5000/v2/a/manifests/1": no basic auth credentials`, "IMAGE_DENIED"],
  ["pull", `${DAEMON}unauthorized: authentication required`, "IMAGE_DENIED"],
  ["pull", `${DAEMON}Get "https://r.example/v2/": unauthorized: incorrect username or password`, "IMAGE_DENIED"],
  ["pull", `${DAEMON}denied: access forbidden`, "IMAGE_DENIED"],
  [
    "pull",
    `${DAEMON}Get "https://nosuch.invalid/v2/": dial tcp: lookup nosuch.invalid on 10.0.0.1:53: no such host`,
    "REGISTRY_UNREACHABLE",
  ],
  ["pull", `${DAEMON}Get "http://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused`, "REGISTRY_UNREACHABLE"],
  [
    "pull",
    `${DAEMON}failed to resolve reference "127.0.0.1:1/a:1": failed to do request: Head "http://127.0.0.1:1/v2/a/manifests/1": dial tcp 127.0.0.1:1: connect: connection refused`,
    "REGISTRY_UNREACHABLE",
  ],
  ["pull", "connection refused", "REGISTRY_UNREACHABLE"],
  ["pull", `${DAEMON}Get "https://h:5000/v2/": http: server gave HTTP response to HTTPS client`, "REGISTRY_UNREACHABLE"],
  ["pull", `${DAEMON}Get "https://h/v2/": x509: certificate signed by unknown authority`, "REGISTRY_UNREACHABLE"],
  [
    "pull",
    `${DAEMON}Get "https://h/v2/": net/http: request canceled (Client.Timeout exceeded while awaiting headers)`,
    "REGISTRY_UNREACHABLE",
  ],
  ["pull", `${DAEMON}toomanyrequests: You have reached your pull rate limit.`, "REGISTRY_UNREACHABLE"],
  ["pull", `${DAEMON}received unexpected HTTP status: 500 Internal Server Error`, "REGISTRY_UNREACHABLE"],
  ["pull", `${DAEMON}missing signature key`, "REGISTRY_UNREACHABLE"],
  ["pull", "failed to register layer: write /bin/x: no space left on device", "ENGINE_ERROR"],
  ["create", `${DAEMON}No such image: nosuch:latest`, "IMAGE_NOT_FOUND"],
  [
    "create",
    `${DAEMON}Conflict. The container name "/u-a" is already in use by container "2d88a91c". You have to remove (or rename) that container to be able to reuse that name.`,
    "NAME_TAKEN",
  ],
  ["create", `${DAEMON}Minimum memory limit allowed is 6MB`, "INVALID_SPEC"],
  ["create", `${DAEMON}invalid CapAdd: unknown capability: "CAP_FOO"`, "INVALID_SPEC"],
  ["create", `docker: invalid hostPort: 99999${HELP}`, "INVALID_SPEC"],
  ["create", `${DAEMON}error while creating mount source path '/x': mkdir /x: read-only file system`, "ENGINE_ERROR"],
  ["create", "/bin/sh: 1: docker: not found", "ENGINE_ERROR"],
];

const TOO_OLD = `${DAEMON}client version 1.41 is too old. Minimum supported API version is 1.44, please upgrade your client to a newer version`;
const TOO_NEW = `${DAEMON}client version 1.52 is too new. Maximum supported API version is 1.41`;
const REFUSES = "API version 1.41 is not supported by this client: the minimum supported API version is 1.44";

test.each<[EngineOperation, string, RegExp]>([
  ["create", TOO_OLD, /^The docker command of this host is too old for its engine: client version 1.41 .* 1.44/],
  ["pull", TOO_OLD, /^The docker command of this host is too old/],
  ["compose", TOO_OLD, /^Docker Compose of this host is too old/],
  ["create", TOO_NEW, /^The docker command of this host is too new for its engine: client version 1.52 .* 1.41/],
  ["pull", TOO_NEW, /^The docker command of this host is too new/],
  ["compose", TOO_NEW, /^Docker Compose of this host is too new/],
  ["pull", REFUSES, /^The docker command of this host is too new for its engine: API version 1.41/],
  ["create", `unknown flag: --annotation${HELP}`, /^The docker command of this host is too old/],
  ["compose", "unknown flag: --progress", /^Docker Compose of this host is too old/],
])("in operation %s, the CLI text %j is a 500 that says which program doesn't fit the engine", (during, stderr, message) => {
  const error = toAppErrorFromCli({ stderr }, during);
  expect(error).toMatchObject({ code: "DOCKER_CLI_UNUSABLE", status: 500, message: expect.stringMatching(message) });
});

test.each(CLI)("in operation %s, the CLI text %j maps to %s", (during, stderr, code) => {
  expect(toAppErrorFromCli({ stderr }, during)).toMatchObject({ code });
  expect(toAppErrorFromCli({ stderr: `${stderr}\n` }, during)).toMatchObject({ code });
});

const START = "driver failed programming external connectivity on endpoint web (9b8be4): ";

const ENGINE: [EngineOperation, number, string, string][] = [
  // Podman's `GET /containers/ID/top`.
  ["call", 500, "top can only be used on running containers", "NOT_RUNNING"],
  // Podman's `DELETE /images/NAME`.
  ["call", 404, "failed to find image none: docker.io/library/none: image not known", "IMAGE_NOT_FOUND"],
  ["start", 500, `${START}Bind for 127.0.0.1:38511 failed: port is already allocated`, "PORT_TAKEN"],
  ["start", 500, `${START}Error starting userland proxy: listen tcp4 0.0.0.0:80: bind: address already in use`, "PORT_TAKEN"],
  ["start", 500, `${START}failed to bind host port for 0.0.0.0:80:172.17.0.2:80/tcp: address already in use`, "PORT_TAKEN"],
  [
    "start",
    400,
    'failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: "x": executable file not found in $PATH: unknown',
    "INVALID_SPEC",
  ],
  [
    "call",
    500,
    "preparing container 85a4c1 for attach: crun: executable file `x` not found in $PATH: No such file or directory: OCI runtime attempted to invoke a command that was not found",
    "INVALID_SPEC",
  ],
  ["call", 500, "can only create exec sessions on running containers: container state improper", "NOT_RUNNING"],
  ["call", 500, "renaming container: UNIQUE constraint failed: ContainerConfig.Name", "NAME_TAKEN"],
  ["start", 500, 'OCI runtime create failed: exec: "/x": stat /x: no such file or directory: unknown', "INVALID_SPEC"],
  ["start", 500, "unable to find user nobodyx: no matching entries in passwd file", "INVALID_SPEC"],
  ["start", 404, "network nosuchnet not found", "INVALID_SPEC"],
  ["start", 500, "write /var/lib/docker/x: no space left on device", "ENGINE_ERROR"],
  ["start", 500, "something nobody has seen", "ENGINE_ERROR"],
  ["start", 404, "No such container: abc", "CONTAINER_NOT_FOUND"],
  ["call", 404, "No such container: abc", "CONTAINER_NOT_FOUND"],
  ["call", 404, "No such exec instance: abc", "NOT_RUNNING"],
  ["call", 404, "no such container", "NOT_RUNNING"],
  ["call", 500, "runc did not terminate successfully: exit status 1: container does not exist", "NOT_RUNNING"],
  ["call", 500, "ttrpc: closed: unknown", "NOT_RUNNING"],
  ["call", 404, "No such image: x:latest", "IMAGE_NOT_FOUND"],
  ["call", 409, "Container abc is not running", "NOT_RUNNING"],
  // From the start of an exec whose container has just ended.
  ["start", 500, "Container abc is not running: Exited (0) Less than a second ago", "NOT_RUNNING"],
  ["start", 500, "OCI runtime exec failed: exec failed: cannot exec in a stopped container: unknown", "NOT_RUNNING"],
  ["call", 409, "Container abc is paused, unpause the container before exec", "NOT_RUNNING"],
  ["call", 409, "Container abc is restarting, wait until the container is running", "NOT_RUNNING"],
  ["call", 409, "Container abc is already paused", "NOT_RUNNING"],
  ["call", 500, "Container abc is not paused", "NOT_RUNNING"],
  ["call", 500, "Cannot pause container abc: cannot pause a stopped container: unknown", "NOT_RUNNING"],
  ["call", 500, "Cannot unpause container abc: container not running: unknown", "NOT_RUNNING"],
  ["call", 400, "No exec command specified", "INVALID_SPEC"],
  ["call", 500, "invalid something", "ENGINE_ERROR"],
];

test.each(ENGINE)("in operation %s, the response %i %j maps to %s", (during, statusCode, message, code) => {
  const thrown = { statusCode, reason: "server error", json: { message }, message: `(HTTP code ${statusCode}) server error - ${message} ` };
  expect(toAppErrorFromEngine(thrown, during)).toMatchObject({ code, message });
  expect(toAppErrorFromEngine({ statusCode, json: null, message: thrown.message }, during)).toMatchObject({ code, message: `${message}` });
});

test.each(["ERR_TLS_CERT_ALTNAME_INVALID", "SELF_SIGNED_CERT_IN_CHAIN", "UNABLE_TO_VERIFY_LEAF_SIGNATURE", "CERT_HAS_EXPIRED", "EPROTO"])(
  "a failed TLS handshake (%s) maps to ENGINE_UNREACHABLE with its reason",
  (code) => {
    const error = toAppErrorFromEngine(Object.assign(new Error("the certificate is no good"), { code }));
    expect(error).toMatchObject({ code: "ENGINE_UNREACHABLE", message: expect.stringMatching(/TLS: the certificate is no good/) });
  },
);

test.each(["ECONNREFUSED", "ENOENT", "EACCES", "ETIMEDOUT", "EHOSTUNREACH", "ENOTFOUND"])(
  "an unreachable engine (%s) is a 503 whose message contains no path",
  (code) => {
    const error = toAppErrorFromEngine(Object.assign(new Error(`connect ${code} /var/run/docker.sock`), { code }));
    expect(error).toMatchObject({ code: "ENGINE_UNREACHABLE", status: 503, message: "The Docker engine does not answer" });
  },
);

test.each(["ECONNRESET", "EPIPE"])("of an engine whose connection broke (%s) it isn't said that it doesn't answer", (code) => {
  const error = toAppErrorFromEngine(Object.assign(new Error(`write ${code} /var/run/docker.sock`), { code }));
  expect(error).toMatchObject({ code: "ENGINE_UNREACHABLE", status: 503, message: "The connection to the Docker engine broke" });
});

test("a timeout maps to ENGINE_UNREACHABLE, and a programming error does not", () => {
  expect(toAppErrorFromEngine(AbortSignal.timeout(0).reason ?? new DOMException("late", "TimeoutError"))).toMatchObject({ status: 503 });
  expect(toAppErrorFromEngine(new DOMException("stopped", "AbortError"))).toMatchObject({ status: 503 });
  expect(toAppErrorFromEngine(new TypeError("x is not a function"))).toMatchObject({
    code: "ENGINE_ERROR",
    status: 500,
    message: "The Docker engine failed",
  });
  expect(toAppErrorFromEngine(undefined)).toMatchObject({ code: "ENGINE_ERROR" });
});

test("a failure without a text has that of its code", () => {
  const thrown = { statusCode: 500, reason: "server error", message: "(HTTP code 500) server error - " };
  for (const json of [null, "", { message: "" }])
    expect(toAppErrorFromEngine({ ...thrown, json })).toMatchObject({ code: "ENGINE_ERROR", message: "The Docker engine failed" });
});

test("an AppError is returned unchanged", () => {
  const typed = new AppError("NAME_TAKEN");
  expect(toAppErrorFromCli(typed, "create")).toBe(typed);
  expect(toAppErrorFromEngine(typed)).toBe(typed);
});

test("the message is the line with the reason, without prefixes and advice, and limited in length", () => {
  const messageOf = (stderr: string) => toAppErrorFromCli({ stderr }, "create").message;
  expect(messageOf(`${DAEMON}No such image: a:latest\n`)).toBe("No such image: a:latest");
  expect(messageOf(`docker: ${DAEMON}No such image: a:latest.\nSee 'docker create --help'.\n`)).toBe("No such image: a:latest.");
  expect(messageOf(`docker: invalid hostPort: 99999${HELP}`)).toBe("invalid hostPort: 99999");
  expect(messageOf(`WARNING: something about swap\n${DAEMON}invalid x`)).toBe("invalid x");
  expect(messageOf(`Unable to find image 'a' locally\nsomething else`)).toBe("something else");
  expect(messageOf("x".repeat(10_000))).toHaveLength(2000);
  expect(toAppErrorFromCli({ message: "spawn failed" }, "create").message).toBe("spawn failed");
});
