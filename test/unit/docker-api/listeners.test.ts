import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { rootCertificates } from "node:tls";
import express from "express";
import type { DockerApi } from "../../../lib/docker-api/docker-api";
import type { DockerListenerDeps } from "../../../lib/docker-api/docker-listener";
import { assertSafe, parseDockerAddress, readClientAuthority } from "../../../lib/docker-api/listen-address";
import { listenForDocker } from "../../../lib/docker-api/listen-for-docker";
import { makeMessageClasses } from "../../../lib/http/as-express";
import type { RunningServer } from "../../../lib/server/listen";
import { listenAtPath } from "../../../lib/server/unix-socket";
import type { Logger } from "../../../lib/support/logger";
import { freePorts } from "../../support/ports";

const folder = mkdtempSync(path.join(tmpdir(), "docker-listeners-"));
const file = (name: string) => path.join(folder, name);
const log = { debug() {}, info() {}, warn() {}, error() {}, fatal() {} } as unknown as Logger;
let servers: RunningServer[] = [];

/** Answers every admitted request with its client's identity. */
const api = {
  handle: async (_request: unknown, response: express.Response) => void response.end(response.locals.identity),
} as unknown as DockerApi;
const app = express();
const deps: DockerListenerDeps = {
  api,
  app,
  messageClasses: makeMessageClasses(app),
  requestLogger: (_request, _response, next) => next(),
  authenticate: (_r, _s, next) => next(),
  log,
};
const settings = {
  host: null,
  port: 0,
  https: false,
  https_cert: file("server.pem"),
  https_key: file("server-key.pem"),
  https_chain: file("none.pem"),
  header_timeout: 5,
  request_timeout: 5,
  stop_timeout: 0,
  docker_tls_ca: null as string | null,
  docker_socket_group: null,
};

const openssl = (...args: string[]) => execFileSync("openssl", args, { cwd: folder, stdio: "ignore" });

function makeCertificate(name: string, usage: string) {
  writeFileSync(file(`${name}.ext`), usage);
  openssl(
    "req",
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:P-256",
    "-nodes",
    "-subj",
    `/CN=${name}`,
    "-keyout",
    `${name}-key.pem`,
    "-out",
    `${name}.csr`,
  );
  openssl(
    "x509",
    "-req",
    "-in",
    `${name}.csr`,
    "-CA",
    "ca.pem",
    "-CAkey",
    "ca-key.pem",
    "-CAcreateserial",
    "-days",
    "2",
    "-extfile",
    `${name}.ext`,
    "-out",
    `${name}.pem`,
  );
}

beforeAll(() => {
  openssl(
    "req",
    "-x509",
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:P-256",
    "-nodes",
    "-days",
    "2",
    "-subj",
    "/CN=clients of a test",
    "-keyout",
    "ca-key.pem",
    "-out",
    "ca.pem",
  );
  makeCertificate("server", "extendedKeyUsage=serverAuth");
  makeCertificate("alice", "extendedKeyUsage=clientAuth");
  makeCertificate("other", "subjectAltName=DNS:other");
});

afterEach(async () => {
  await Promise.all(servers.map((server) => server.stop()));
  servers = [];
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

const textOf = async (response: http.IncomingMessage) => {
  let text = "";
  for await (const chunk of response) text += chunk;
  return `${response.statusCode} ${text}`;
};

test("an address is a socket's path, or an IP address and a port", () => {
  expect(parseDockerAddress("unix:///run/a.sock")).toEqual({ kind: "socket", path: "/run/a.sock" });
  expect(parseDockerAddress("tcp://[::1]:2375")).toEqual({ kind: "tcp", host: "::1", port: 2375 });
  for (const text of ["tcp://host:1", "tcp://1.2.3.4", "http://1.2.3.4:1", "unix://a"])
    expect(() => parseDockerAddress(text)).toThrow("must be");
});

test("an address that others reach needs an authority of its clients", () => {
  const at = (host: string) => ({ kind: "tcp", host, port: 2375 }) as const;
  for (const host of ["127.0.0.1", "127.9.9.9", "::1"]) expect(() => assertSafe(at(host), false)).not.toThrow();
  for (const host of ["10.0.0.1", "0.0.0.0", "::"]) {
    expect(() => assertSafe(at(host), false)).toThrow("needs --docker_tls_ca");
    expect(() => assertSafe(at(host), true)).not.toThrow();
  }
});

test("a public authority for clients is refused, and so is a file without a certificate", () => {
  writeFileSync(file("public.pem"), rootCertificates[0] as string);
  expect(() => readClientAuthority(file("public.pem"))).toThrow("public authority");
  writeFileSync(file("empty.pem"), "");
  expect(() => readClientAuthority(file("empty.pem"))).toThrow("holds no certificate");
  expect(readClientAuthority(file("ca.pem"))).toBe(readFileSync(file("ca.pem"), "utf8"));
});

test("a TCP address off loopback needs an authority for clients", async () => {
  await expect(listenForDocker([{ kind: "tcp", host: "0.0.0.0", port: 0 }], deps, settings, log)).rejects.toThrow("--docker_tls_ca");
});

test("a socket is for its owner and group alone; a stale file is replaced, one in use or of another kind is not", async () => {
  const socket = file("a.sock");
  const [server, second, third] = [createServer(), createServer(), createServer()];
  await listenAtPath(server, socket, null);
  expect(statSync(socket).mode & 0o777).toBe(0o660);
  await expect(listenAtPath(second, socket, null)).rejects.toThrow("in use");
  await new Promise((resolve) => server.close(resolve));
  // A killed process leaves its file behind.
  spawnSync(
    process.execPath,
    ["-e", `require("net").createServer().listen(${JSON.stringify(socket)}, () => process.kill(process.pid, "SIGKILL"))`],
    {
      stdio: "ignore",
    },
  );
  await listenAtPath(third, socket, null);
  await new Promise((resolve) => third.close(resolve));
  writeFileSync(file("plain"), "");
  await expect(listenAtPath(createServer(), file("plain"), null)).rejects.toThrow("is no socket");
  await expect(listenAtPath(createServer(), file("absent/a.sock"), null)).rejects.toThrow("there is no folder");
  await expect(listenAtPath(createServer(), file("b.sock"), "no-such-group")).rejects.toThrow(
    "--docker_socket_group names no group of this machine: no-such-group",
  );
});

test("whoever reaches the socket needs no credentials", async () => {
  servers = await listenForDocker([{ kind: "socket", path: file("c.sock") }], deps, settings, log);
  const response = await new Promise<http.IncomingMessage>((resolve) => http.get({ socketPath: file("c.sock"), path: "/info" }, resolve));
  expect(await textOf(response)).toBe("200 docker-socket");
});

test("over TLS only a certificate of the authority for clients is admitted", async () => {
  const [port = 0] = await freePorts(1);
  servers = await listenForDocker([{ kind: "tcp", host: "127.0.0.1", port }], deps, { ...settings, docker_tls_ca: file("ca.pem") }, log);
  const get = (name?: string) =>
    new Promise<string>((resolve, reject) => {
      const own = name === undefined ? {} : { cert: readFileSync(file(`${name}.pem`)), key: readFileSync(file(`${name}-key.pem`)) };
      const options = {
        host: "127.0.0.1",
        port,
        path: "/info",
        ca: readFileSync(file("ca.pem")),
        checkServerIdentity: () => undefined,
        agent: false as const,
        ...own,
      };
      https.get(options, (response) => resolve(textOf(response))).on("error", reject);
    });
  expect(await get("alice")).toBe("200 certificate-alice");
  await expect(get()).rejects.toThrow();
  await expect(get("server")).rejects.toThrow();
  expect(await get("other")).toMatch(/^401 \{"message":"The certificate is not one for clients/);
});
