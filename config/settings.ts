import { isIP, isIPv6 } from "node:net";
import { isNarrowToken, NO_ROOT_TOKEN } from "../lib/support/narrow-token";
import { DOCKER_SETTINGS } from "./docker-settings";
import { RUN_SETTINGS } from "./run-settings";
import type { Setting, ValueOf } from "./setting";

const absolutePath = (value: string) => (value.startsWith("/") ? undefined : "must be an absolute path");
const listenAddress = (value: string) => {
  if (value.startsWith("[")) return "must be an address without brackets, such as ::1";
  return isIPv6(value) || /^[\w.-]+$/.test(value) ? undefined : "must be an address or a name alone, such as 127.0.0.1; the port is --port";
};
const httpUrl = (value: string) => (/^https?:\/\/[^/]+$/.test(value) ? undefined : "must be such as http://10.0.0.1:1717");
const origin = (value: string) =>
  /^https?:/.test(value) && URL.canParse(value) && new URL(value).origin === value
    ? undefined
    : "must be an origin, such as http://localhost:3000";
const hopsOrAddresses = (value: string) => {
  if (value === "true") return "must be a number of proxies or their addresses, not true, or any client could forge its own";
  const parts = value.split(",").map((part) => part.trim());
  return /^\d+$/.test(value) || parts.every(isAddressRange)
    ? undefined
    : "must be a number of proxies, or their addresses or networks, such as 10.0.0.5 or 10.0.0.0/8";
};
/** Names of networks that Express knows. */
const NETWORK_NAMES = ["loopback", "linklocal", "uniquelocal"];
function isAddressRange(value: string): boolean {
  const [address = "", range, ...rest] = value.split("/");
  const version = isIP(address);
  if (version === 0 || rest.length > 0) return NETWORK_NAMES.includes(value);
  const bits = version === 4 ? 32 : 128;
  return range === undefined || isIP(range) === version || (/^\d+$/.test(range) && Number(range) >= 1 && Number(range) <= bits);
}

const CERTIFICATE_USERS = ["https", "docker_tls_ca"] as const;

/** All settings: the source of flags, environment variables, config file, validation, --help and the documented options table. */
export const SETTINGS = {
  host: {
    type: "string",
    default: null,
    env: ["SERVER_LISTEN_ADDR"],
    check: listenAddress,
    group: "Server",
    help: "Address to listen on; all of them if unset",
  },
  port: { type: "number", default: 1717, env: ["SERVER_LISTEN_PORT"], min: 0, max: 65535, group: "Server", help: "Port to listen on" },
  proxy_port: {
    type: "number",
    default: null,
    min: 1,
    max: 65535,
    group: "Server",
    help: "Port at which browsers see what containers serve, signed in by a cookie; none if unset",
  },
  https: { type: "boolean", default: false, group: "Server", help: "Serve HTTPS" },
  https_cert: { needs: CERTIFICATE_USERS, type: "string", default: "/certs/cert.pem", group: "Server", help: "Certificate file, PEM" },
  https_key: { needs: CERTIFICATE_USERS, type: "string", default: "/certs/privkey.pem", group: "Server", help: "Private key file, PEM" },
  https_chain: {
    needs: CERTIFICATE_USERS,
    type: "string",
    default: "/certs/chain.pem",
    group: "Server",
    help: "File of the certificates between this one and its root, PEM; used if it is there",
  },
  trust_proxy: {
    type: "string",
    default: null,
    check: hopsOrAddresses,
    group: "Server",
    help: "Load balancers in front whose X-Forwarded-* headers count: how many, or their addresses (comma separated)",
  },
  body_limit: { type: "number", default: 10, min: 0.001, group: "Server", help: "Largest request body, MB" },
  upload_limit: {
    type: "number",
    default: 1000,
    min: 0.001,
    group: "Server",
    help: "Largest archive that may be uploaded into a container, and what it may unpack to, MB",
  },
  header_timeout: { type: "number", default: 20, min: 1, group: "Server", help: "Seconds a client may take to send its headers" },
  request_timeout: {
    type: "number",
    default: 300,
    min: 1,
    group: "Server",
    help: "Seconds a client may take to send a whole request, and one more for each 100 kB of it",
  },
  stop_timeout: { type: "number", default: 30, min: 0, group: "Server", help: "Seconds that requests under way are given at a stop" },
  config: { type: "string", default: null, group: "Server", help: "JSON file of settings, by these names" },
  node_env: {
    type: "string",
    default: "production",
    env: ["NODE_ENV"],
    group: "Server",
    help: "development puts the stack trace into error answers",
  },

  token: {
    type: "list",
    default: [],
    env: ["API_ACCESS_TOKEN"],
    secret: true,
    group: "Access",
    help: "Secret token that clients present; repeat the flag for several. A terminal gets a random one if unset",
    check: (value) => (isNarrowToken(value) ? NO_ROOT_TOKEN : undefined),
  },
  token_file: {
    type: "string",
    default: null,
    group: "Access",
    help: "File of tokens, one a line, # begins a comment; read again when it changes",
  },
  revoked: {
    type: "string",
    default: null,
    group: "Access",
    help: "File of the ids of revoked narrow tokens, or of the tokens, one a line, read again when it changes",
  },
  user: { type: "string", default: null, env: ["APP_USER"], group: "Access", help: "User name for Basic authentication, with password" },
  password: { type: "string", default: null, env: ["APP_PASS"], secret: true, group: "Access", help: "Password of user" },
  low_burst: { type: "number", default: 60, group: "Access", help: "Requests a minute of the low class (pull, run, exec); 0: no limit" },
  mid_burst: { type: "number", default: 180, group: "Access", help: "Requests a minute of the mid class (logs, remove); 0: no limit" },
  high_burst: { type: "number", default: 300, group: "Access", help: "Requests a minute of the high class (lists, status); 0: no limit" },
  allow: {
    type: "list",
    default: [],
    choices: ["privileged", "host_namespaces", "devices", "capabilities", "docker_socket"],
    group: "Access",
    help: "What the policy lets containers have: privileged, host_namespaces, devices, capabilities, docker_socket",
  },
  bind_roots: {
    type: "list",
    default: [],
    check: absolutePath,
    group: "Access",
    help: "Only folders at or below these may be mounted from the host; any if unset",
  },

  cors_origin: {
    type: "list",
    default: [],
    check: origin,
    group: "Access",
    help: "Origin whose pages may use this API with a token of theirs, such as http://localhost:3000; repeat the flag for several",
  },

  ...DOCKER_SETTINGS,

  node_name: {
    type: "string",
    default: null,
    group: "Cluster",
    // Response headers list node names, separated by commas.
    check: (name) =>
      /^[\x21-\x2b\x2d-\x7e]{1,200}$/.test(name) ? undefined : "must be up to 200 letters, digits or signs of ASCII, no comma or space",
    help: "Name of this node; address:port if unset",
  },
  cluster: { type: "boolean", default: false, group: "Cluster", help: "Join the other nodes of the same store" },
  refresh_rate: {
    needs: "cluster",
    type: "number",
    default: 30000,
    min: 100,
    group: "Cluster",
    help: "Milliseconds between writes to the store",
  },
  cache_interval: {
    needs: "cluster",
    type: "number",
    default: 3000,
    min: 50,
    group: "Cluster",
    help: "Milliseconds that reads of the store are cached",
  },
  folder: {
    needs: "cluster",
    type: "string",
    default: "/tmp/docker-server",
    group: "Cluster",
    help: "Folder shared by all nodes; with s3 the prefix of the keys",
  },
  s3: { needs: "cluster", type: "string", default: null, group: "Cluster", help: "S3 bucket to share instead of a folder" },
  s3_endpoint: {
    needs: "s3",
    type: "string",
    default: null,
    group: "Cluster",
    help: "Address of a server that speaks S3; Amazon's own if unset",
  },
  s3_region: {
    needs: "s3",
    type: "string",
    default: null,
    env: ["AWS_REGION"],
    group: "Cluster",
    help: "Region of the bucket; with s3_endpoint us-east-1 if neither this nor an AWS profile names one",
  },
  s3_path_style: {
    needs: "s3",
    type: "boolean",
    default: false,
    group: "Cluster",
    help: "Name the bucket in the path rather than in the host name",
  },
  redis: {
    needs: "cluster",
    type: "string",
    default: null,
    secret: true,

    group: "Cluster",
    help: "URL of a Redis to share instead of a folder",
  },
  advertise: {
    needs: "cluster",
    type: "string",
    default: null,
    check: httpUrl,
    group: "Cluster",
    help: "URL at which the other nodes reach this one; its default-route address and port if unset",
  },
  public_url: {
    type: "string",
    default: null,
    check: origin,
    group: "Cluster",
    help: "Origin at which browsers reach this node, such as https://node-1.example.org; the console of another node leads there",
  },
  cluster_key: {
    needs: "cluster",
    type: "list",
    default: [],
    secret: true,
    group: "Cluster",
    help: "Secret that nodes sign with; derived from the token if unset. Repeatable: the first signs, all are valid",
  },
  peer_timeout: {
    needs: "cluster",
    type: "number",
    default: 1500,
    min: 50,
    group: "Cluster",
    help: "Milliseconds that another node may take to answer a question",
  },
  peer_ca: {
    needs: "cluster",
    type: "string",
    default: null,
    group: "Cluster",
    help: "File of further root certificates to trust other nodes by, PEM",
  },
  peer_servername: {
    needs: "cluster",
    type: "string",
    default: null,
    group: "Cluster",
    help: "Name that other nodes' certificates must have; this node's own certificate's if unset",
  },
  accept: {
    type: "boolean",
    default: true,
    group: "Cluster",
    help: "Take new work; false: this node only serves what it has, until it is restarted without this or told by PATCH /nodes/NAME",
  },
  queue_wait: {
    needs: "cluster",
    type: "number",
    default: 0,
    group: "Cluster",
    help: "Seconds a run waits for room when no node can take it",
  },
  queue_length: { needs: "cluster", type: "number", default: 100, min: 1, group: "Cluster", help: "Runs that may wait so at a time" },

  ...RUN_SETTINGS,

  log_level: {
    type: "string",
    default: "info",
    aliases: ["log_lovel"],
    choices: ["trace", "debug", "info", "warn", "error", "fatal"],
    group: "Logs",
    help: "Least level that is logged: trace, debug, info, warn, error, fatal",
  },
  log_dir: { type: "string", default: "logs", group: "Logs", help: "Folder of the log files" },
  log_expiry: { type: "number", default: 14, min: 1, group: "Logs", help: "Days a log file is kept" },
  container_metrics: {
    type: "boolean",
    default: false,
    group: "Logs",
    help: "Put processor time, memory and restarts of each running container into /metrics: two calls of the engine for each",
  },
  log_max_size: { type: "number", default: 25, min: 1, group: "Logs", help: "Size at which a log file is rotated, MB" },
} as const satisfies Record<string, Setting>;

export type SettingName = keyof typeof SETTINGS;
export type Settings = { [Name in SettingName]: ValueOf<(typeof SETTINGS)[Name]> };
