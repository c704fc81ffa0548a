import { mkdtempSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { loadSettings } from "../../../config/load";
import type { SettingName } from "../../../config/settings";

const folder = mkdtempSync(path.join(tmpdir(), "docker-server-settings-"));
afterAll(() => rmdirSync(folder));

const load = async (argv: string[], env: NodeJS.ProcessEnv) => (await loadSettings(argv, env, folder))?.settings as Record<string, unknown>;

/** Every environment variable documented by the five systems, with a value as written there and the setting it sets. */
const DOCUMENTED: [variable: string, text: string, name: SettingName, value: unknown, other: string][] = [
  ["SERVER_LISTEN_ADDR", "127.0.0.2", "host", "127.0.0.2", "127.0.0.3"],
  ["SERVER_LISTEN_PORT", "8088", "port", 8088, "8089"],
  ["SERVER_WORKER_THREADS", "12", "run_concurrency", 12, "13"],
  ["API_ACCESS_TOKEN", "some-secret", "token", ["some-secret"], "other"],
  ["DOCKER_UNIX_SOCKET_PATH", "/run/other.sock", "docker_host", "/run/other.sock", "/run/third.sock"],
  ["DOCKER_UNIX_SOCKET_READ_TIMEOUT", "3", "docker_read_timeout", 3, "4"],
  ["DOCKER_UNIX_SOCKET_WRITE_TIMEOUT", "3", "docker_write_timeout", 3, "4"],
  ["DOCKER_CONTAINER_HOSTNAME", "glot", "run_hostname", "glot", "other"],
  ["DOCKER_CONTAINER_USER", "glot", "run_user", "glot", "other"],
  ["DOCKER_CONTAINER_MEMORY", "1000000000", "run_memory", 1_000_000_000, "2"],
  ["DOCKER_CONTAINER_NETWORK_DISABLED", "false", "run_network_disabled", false, "true"],
  ["DOCKER_CONTAINER_ULIMIT_NOFILE_SOFT", "11", "run_nofile_soft", 11, "1"],
  ["DOCKER_CONTAINER_ULIMIT_NOFILE_HARD", "12", "run_nofile_hard", 12, "1"],
  ["DOCKER_CONTAINER_ULIMIT_NPROC_SOFT", "13", "run_nproc_soft", 13, "1"],
  ["DOCKER_CONTAINER_ULIMIT_NPROC_HARD", "14", "run_nproc_hard", 14, "1"],
  ["DOCKER_CONTAINER_CAP_DROP", "MKNOD NET_RAW NET_BIND_SERVICE", "run_cap_drop", ["MKNOD", "NET_RAW", "NET_BIND_SERVICE"], "ALL"],
  ["RUN_MAX_EXECUTION_TIME", "15", "run_max_time", 15, "16"],
  ["RUN_MAX_OUTPUT_SIZE", "100000", "run_max_output", 100_000, "1"],
  ["APP_USER", "admin", "user", "admin", "other"],
  ["APP_PASS", "your_secure_password_here", "password", "your_secure_password_here", "other"],
  ["DEFAULT_USER_UID", "1000:1000", "default_user_uid", "1000:1000", "1:1"],
  ["DOCKER_HOST", "tcp://your-docker-host:2376", "docker_host", "tcp://your-docker-host:2376", "tcp://other:1"],
  ["DOCKER_TLS_VERIFY", "1", "docker_tls_verify", true, "0"],
  ["DOCKER_CERT_PATH", "/path/to/certs", "docker_cert_path", "/path/to/certs", "/other"],
  ["DS_PORT", "1718", "port", 1718, "1719"],
  ["DS_TOKEN", "my_secret_token", "token", ["my_secret_token"], "other"],
];

test.each(DOCUMENTED)("%s=%s sets %s", async (variable, text, name, value) => {
  expect((await load([], { [variable]: text }))[name]).toEqual(value);
});

test.each(DOCUMENTED.filter(([variable]) => !variable.startsWith("DS_")))(
  "DS_* wins over %s",
  async (variable, text, name, value, other) => {
    expect((await load([], { [variable]: other, [`DS_${name.toUpperCase()}`]: text }))[name]).toEqual(value);
  },
);

/** The parameters of version 1; its default token is dropped on purpose. */
test("every option of version 1 has its documented default", async () => {
  expect(await load([], {})).toMatchObject({
    port: 1717,
    token: [],
    low_burst: 60,
    mid_burst: 180,
    high_burst: 300,
    https: false,
    https_cert: "/certs/cert.pem",
    https_key: "/certs/privkey.pem",
    https_chain: "/certs/chain.pem",
    cluster: false,
    refresh_rate: 30_000,
    cache_interval: 3000,
    folder: "/tmp/docker-server",
    s3: null,
    log_level: "info",
    log_expiry: 14,
    log_max_size: 25,
  });
});

test("the command lines of version 1 are accepted, --log_lovel included", async () => {
  expect(await load(["--token", "my_secret_token", "--https"], {})).toMatchObject({ token: ["my_secret_token"], https: true });
  const cluster = ["--token", "my_secret_token", "--cluster", "--folder", "/my/somewhy/custom/path"];
  expect(await load(cluster, {})).toMatchObject({ cluster: true, folder: "/my/somewhy/custom/path" });
  for (const level of ["trace", "debug", "info", "warn", "error", "fatal"]) {
    expect(await load(["--log_lovel", level], {})).toMatchObject({ log_level: level });
  }
});
