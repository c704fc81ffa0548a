import type { Setting } from "./setting";

const variableName = (value: string) => (/^[A-Za-z_]\w*$/.test(value) ? undefined : "must be the name of an environment variable");

/** The rows of the settings table about the engine, the docker CLI and what is run there. */
export const DOCKER_SETTINGS = {
  docker_host: {
    type: "string",
    default: null,
    env: ["DOCKER_HOST", "DOCKER_UNIX_SOCKET_PATH"],
    group: "Docker",
    help: "The engine: unix:///path, tcp://host:port, ssh://user@host or the path of a socket",
  },
  docker_context: {
    type: "string",
    default: null,
    env: ["DOCKER_CONTEXT"],
    group: "Docker",
    help: "Docker context to take the engine from",
  },
  docker_tls_verify: {
    type: "boolean",
    default: false,
    env: ["DOCKER_TLS_VERIFY"],
    group: "Docker",
    help: "Verify the engine's certificate",
  },
  docker_cert_path: {
    type: "string",
    default: null,
    env: ["DOCKER_CERT_PATH"],
    group: "Docker",
    help: "Folder with ca.pem, cert.pem and key.pem for the engine",
  },
  docker_config: {
    type: "string",
    default: null,
    env: ["DOCKER_CONFIG"],
    group: "Docker",
    help: "Folder of the docker CLI's configuration and credentials",
  },
  ssh_auth_sock: {
    type: "string",
    default: null,
    env: ["SSH_AUTH_SOCK"],
    group: "Docker",
    help: "Socket of the SSH agent, for ssh:// engines",
  },
  image_keep: {
    type: "number",
    default: null,
    min: 0.001,
    group: "Docker",
    help: "Hours for which images and build cache that no container uses are kept; for ever if unset",
  },
  docker_cli_env: {
    type: "list",
    default: [],
    check: variableName,
    group: "Docker",
    help: "Names of environment variables that the docker CLI gets, for credential helpers, such as AWS_PROFILE",
  },
  docker_read_timeout: {
    type: "number",
    default: 60,
    min: 0.1,
    env: ["DOCKER_UNIX_SOCKET_READ_TIMEOUT"],
    group: "Docker",
    help: "Seconds the engine may take to answer",
  },
  docker_write_timeout: {
    type: "number",
    default: 60,
    min: 0.1,
    env: ["DOCKER_UNIX_SOCKET_WRITE_TIMEOUT"],
    group: "Docker",
    help: "Seconds the engine may take to accept what is sent to it",
  },
  run_wait: { type: "number", default: 20, min: 0, group: "Docker", help: "Seconds a foreground run or exec is waited for, then 202" },
  pull_wait: {
    type: "number",
    default: 20,
    min: 0,
    group: "Docker",
    help: "Seconds a pull is waited for, then 202; repeating it joins the same pull",
  },
  proxy_timeout: {
    type: "number",
    default: 60,
    min: 0.1,
    group: "Docker",
    help: "Seconds until what a container serves begins to answer, from the last of the request; then it may take its time",
  },
  output_limit: {
    type: "number",
    default: 16,
    min: 0.001,
    group: "Docker",
    help: "Most of each output stream in a JSON answer, MB; the end is kept and `truncated` says so",
  },
} as const satisfies Record<string, Setting>;
