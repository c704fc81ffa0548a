import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import path from "node:path";
import type { ConstructorOptions } from "docker-modem";
import type { DockerOptions } from "dockerode";
import { lazyRequire } from "../support/lazy-require";
import { fromUrlHost } from "../support/url-host";
import { commandLine } from "./cli/shell-quote";
import { SshConnections } from "./ssh-connections";

const loadDockerCli = lazyRequire(() => require("docker-cli-js") as typeof import("docker-cli-js"));

export interface EndpointSettings {
  docker_host: string | null;
  docker_context: string | null;
  docker_tls_verify: boolean;
  docker_cert_path: string | null;
  docker_config: string | null;
  ssh_auth_sock: string | null;
  /** further environment of the docker CLI, for credential helpers */
  cliVariables: Record<string, string>;
}

/** How to reach one engine, by dockerode and by the docker CLI. */
export interface Endpoint {
  /** such as unix:///var/run/docker.sock */
  url: string;
  /** for dockerode; the agent is for an engine that is reached over SSH */
  options: DockerOptions & Pick<ConstructorOptions, "agent">;
  /** for the docker CLI */
  env: Record<string, string>;
  /** Path of the engine's socket, if it has one: containers must not mount it. */
  socket?: string;
}

const DEFAULT_HOST = "unix:///var/run/docker.sock";

/**
 * Resolves the engine to use: docker_host, else the context (named, or current), else the default socket.
 * @throws Error if a context or a certificate can't be read, or the scheme of the address is unknown
 */
export async function resolveEndpoint(settings: EndpointSettings): Promise<Endpoint> {
  const cli = cliEnvironment(settings);
  if (settings.docker_host) return buildEndpoint(settings.docker_host, settings, cli);
  const context = settings.docker_context ?? currentContext(settings.docker_config);
  if (!context || context === "default") return buildEndpoint(DEFAULT_HOST, settings, cli);
  const { host, certPath, skipVerify } = await readContext(context, cli);
  return buildEndpoint(host, { docker_cert_path: certPath, docker_tls_verify: certPath !== null && !skipVerify }, cli);
}

type Tls = Pick<EndpointSettings, "docker_tls_verify" | "docker_cert_path">;

function buildEndpoint(address: string, tls: Tls, cli: Record<string, string>): Endpoint {
  const url = address.startsWith("/") ? `unix://${address}` : address.includes("://") ? address : `tcp://${address}`;
  const env = { ...cli, DOCKER_HOST: url };
  if (url.startsWith("unix://")) {
    const socket = url.slice("unix://".length);
    // Else docker-modem would take these of DOCKER_HOST in the environment.
    return { url, env, socket, options: { socketPath: socket, protocol: "http", host: undefined, port: undefined } };
  }
  const { protocol, hostname, port, username } = new URL(url);
  const host = fromUrlHost(hostname);
  if (protocol === "ssh:") {
    const server = { host, port: Number(port || 22), username: decodeURIComponent(username), env: cli };
    return { url, env, options: { protocol: "http", host, port: server.port, agent: new SshConnections(server) } };
  }
  if (!["tcp:", "http:", "https:"].includes(protocol)) throw new Error(`docker_host ${url} is of no known kind`);
  if (!tls.docker_tls_verify && protocol !== "https:") {
    return { url, env, options: { protocol: "http", host, port: port || 2375 } };
  }
  const folder = tls.docker_cert_path ?? path.join(homedir(), ".docker");
  const read = (file: string) => readFileSync(path.join(folder, file));
  return {
    url,
    env: { ...env, DOCKER_TLS_VERIFY: "1", DOCKER_CERT_PATH: folder },
    options: { protocol: "https", host, port: port || 2376, ca: read("ca.pem"), cert: read("cert.pem"), key: read("key.pem") },
  };
}

// What the CLI and its credential helpers need; they get nothing else of this process's environment.
function cliEnvironment(settings: EndpointSettings): Record<string, string> {
  return {
    ...settings.cliVariables,
    ...(settings.docker_config ? { DOCKER_CONFIG: settings.docker_config } : {}),
    ...(settings.ssh_auth_sock ? { SSH_AUTH_SOCK: settings.ssh_auth_sock } : {}),
  };
}

function currentContext(folder: string | null): string | undefined {
  const file = path.join(folder ?? path.join(homedir(), ".docker"), "config.json");
  try {
    return (JSON.parse(readFileSync(file, "utf8")) as { currentContext?: string }).currentContext;
  } catch {
    return undefined; // the CLI is not configured: use the default socket
  }
}

interface ContextEndpoint {
  Name: string;
  Endpoints: { docker?: { Host: string; SkipTLSVerify?: boolean } };
  TLSMaterial?: { docker?: string[] };
  Storage?: { TLSPath?: string };
}

async function readContext(name: string, env: Record<string, string>) {
  const { raw } = await loadDockerCli().dockerCommand(commandLine(["context", "inspect", "--", name]), { echo: false, env });
  const context = (JSON.parse(raw) as ContextEndpoint[])[0];
  const docker = context?.Endpoints.docker;
  if (!docker) throw new Error(`The docker context ${name} names no engine`);
  const certPath = context?.TLSMaterial?.docker ? path.join(context.Storage?.TLSPath ?? "", "docker") : null;
  return { host: docker.Host, certPath, skipVerify: docker.SkipTLSVerify === true };
}
