import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { type LoadedSettings, loadSettings } from "../../../config/load";
import { checkStore, describePeer } from "../../../lib/cluster/check-cluster";
import { encodeRecord, storeKey } from "../../../lib/cluster/membership/record";
import { Signatures } from "../../../lib/cluster/rpc/signatures";
import { checkCommand, describeClock } from "../../../lib/commands/check";
import { describeRoom } from "../../../lib/support/disk";
import { selfSigned } from "../../support/https";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), "docker-server-check-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

async function check(...flags: string[]) {
  const argv = ["--token=root token", `--docker_host=unix://${folder}/none.sock`, "--node_name=own"];
  const loaded = await loadSettings([...argv, ...flags], { DS_LOG_DIR: `${folder}/new/logs` }, folder);
  if (loaded === null) throw new Error("no settings");
  return checkCommand({ ...loaded.settings, cliVariables: {} });
}

const wrongLine = (subject: string, found: string, remedy: string) => new RegExp(`^WRONG  ${subject}: ${found}.*\n       .*${remedy}`, "m");

describe("docker-server check", () => {
  test("the folder of the docker configuration must be there; without one nothing is said of it", async () => {
    expect((await check()).text).not.toContain("docker config");
    expect((await check(`--docker_config=${folder}`)).text).toMatch(/^ok {5}docker config: .*, without a config.json$/m);
    expect((await check(`--docker_config=${folder}/absent`)).text).toMatch(wrongLine("docker config", "ENOENT", "--docker_config"));
    mkdirSync(path.join(folder, "config", "config.json"), { recursive: true });
    expect((await check(`--docker_config=${folder}/config`)).text).toMatch(
      wrongLine("docker config", ".*it is a folder", "--docker_config"),
    );
  });

  test("an engine without a socket is wrong, and the remedy is told", async () => {
    const { text, isWell } = await check();
    expect(text).toMatch(wrongLine("engine", "unix://", "start Docker"));
    expect(isWell).toBe(false);
  });

  test("tokens are counted; none at all, a file without one, and one that can't be read are wrong", async () => {
    expect((await check()).text).toMatch(/^ok {5}credentials: 1 token/m);
    const none = path.join(folder, "no-tokens");
    writeFileSync(none, "# none yet\n\n");
    expect((await check(`--token_file=${none}`)).text).toMatch(wrongLine("credentials", ".*no-tokens holds no token", "one a line"));
    const absent = await check(`--token_file=${folder}/absent`);
    expect(absent.text).toMatch(wrongLine("credentials", "--token_file .*absent can't be read: there is no such file", "--token_file"));
    const loaded = await loadSettings(["--docker_host=/none.sock"], { DS_LOG_DIR: `${folder}/logs` }, folder);
    expect((await checkCommand({ ...(loaded as LoadedSettings).settings, cliVariables: {} })).text).toMatch(
      wrongLine("credentials", "none", "--token_file"),
    );
  });

  test("an authority of the Docker API's clients that can't be read is wrong", async () => {
    const { text } = await check(`--docker_tls_ca=${folder}/absent.pem`);
    expect(text).toMatch(wrongLine("clients' authority", "--docker_tls_ca .*absent.pem can't be read", "--docker_tls_ca"));
  });

  test.each([
    ["an address of another machine", ["--host=192.0.2.1"], "address", "EADDRNOTAVAIL", "--host"],
    ["a Docker listener that others reach", ["--docker_listen=tcp://0.0.0.0:0"], "Docker API", "needs --docker_tls_ca", "--docker_listen"],
    ["a socket in a folder that is not there", ["--docker_listen=unix:///absent/a"], "Docker API", "there is no folder", "--docker_listen"],
    [
      "a group that is not there",
      ["--docker_listen=unix:///a.sock", "--docker_socket_group=absent"],
      "Docker API",
      "names no group",
      "--docker_socket_group",
    ],
    ["a file of revoked tokens that is not there", ["--revoked=/absent"], "revoked tokens", "there is no such file", "--revoked"],
  ])("%s is wrong", async (_what, flags, subject, found, remedy) => {
    expect((await check(...flags)).text).toMatch(wrongLine(subject, `.*${found}`, remedy));
  });

  test("a certificate authority of peers that can't be read is wrong", async () => {
    const { text } = await check("--cluster", `--folder=${folder}/pool`, "--peer_ca=/absent");
    expect(text).toMatch(wrongLine("peers", "--peer_ca /absent can't be read: there is no such file", "--peer_ca"));
  });

  test("an address where something listens already is well: the server itself may run", async () => {
    const socket = path.join(folder, "used.sock");
    const server = createServer().listen({ path: socket });
    await once(server, "listening");
    const { text } = await check(`--docker_listen=unix://${socket}`, "--host=127.0.0.1");
    server.close();
    expect(text).toMatch(/^ok {5}address: 127.0.0.1, port \d+$/m);
    expect(text).toMatch(/^ok {5}Docker API: unix:.*, which a program listens at now$/m);
  });

  test("a log folder that can't be made is wrong", async () => {
    writeFileSync(path.join(folder, "file"), "");
    expect((await check(`--log_dir=${folder}/file/logs`)).text).toMatch(wrongLine("log folder", "ENOTDIR", "--log_dir"));
    expect((await check("--log_dir=/proc/no-such-folder")).text).toMatch(wrongLine("log folder", "ENOENT", "--log_dir"));
    expect((await check()).text).toMatch(/log folder: .*\/new\/logs, .* GB are free/);
  });

  test("certificates are told with names and end, and are wrong if absent", async () => {
    const { cert, privkey } = await selfSigned(folder, "host.example");
    const files = [`--https_cert=${cert}`, `--https_key=${privkey}`, `--https_chain=${folder}/no-chain.pem`];
    expect((await check("--https", ...files)).text).toMatch(/certificate: for .*host\.example, valid until \d{4}-/);
    expect((await check("--https", "--https_cert=/nonexistent.pem")).text).toMatch(wrongLine("certificate", "HTTPS", "--https_cert"));
    const expected = [...files, "--cluster", `--folder=${folder}/empty`, "--peer_servername=other.example"];
    expect((await check("--https", ...expected)).text).toMatch(wrongLine("certificate", "for", "other.example"));
  });

  test("the store is written and read; records of another key, and peers that don't answer, are wrong", async () => {
    const store = path.join(folder, "store");
    const lists0 = /ok {5}store: reached, written and read; it lists 0 nodes/;
    const first = (await check("--cluster", `--folder=${store}`)).text;
    expect(first).toMatch(lists0);
    expect(first).toContain(`; the folder ${store} was not there and was made`);
    expect((await check("--cluster", `--folder=${store}`)).text).toMatch(new RegExp(`${lists0.source}$`, "m"));
    const closed = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => closed.once("listening", resolve));
    const { port } = closed.address() as AddressInfo;
    await new Promise((resolve) => closed.close(resolve));
    const publish = (name: string, key: string) => {
      const record = { name, url: `http://127.0.0.1:${port}`, sequence: 1, process: name, version: "2.0.0", docker: null, containers: 0 };
      const whole = { ...record, engine: "ok" as const, runs: { running: 0, waiting: 0 }, load: 0 };
      writeFileSync(path.join(store, `${storeKey(name)}.node.json`), encodeRecord(whole, new Signatures([key])));
    };
    publish("own", "root token");
    publish("silent", "root token");
    publish("stranger", "another token");
    const { text } = await check("--cluster", `--folder=${store}`);
    expect(text).toMatch(/it lists 3 nodes/);
    expect(text).toMatch(wrongLine("peer silent", `http://127.0.0.1:${port} does not answer`, "--advertise"));
    expect(text).toMatch(wrongLine("record stranger_\\w+", "its signature is not valid", "--cluster_key"));
    expect(text).not.toContain("peer own");
    expect((await check("--cluster", `--folder=${folder}/file/x`)).text).toMatch(wrongLine("store", "ENOTDIR", "--folder"));
  });

  test("a store that loses what is written is wrong, and what is written is removed", async () => {
    const removed: string[] = [];
    const losing = {
      publish: async () => undefined,
      read: async () => new Map<string, string>(),
      withdraw: async (key: string) => void removed.push(key),
      close: async () => undefined,
    };
    await expect(checkStore(losing)).rejects.toThrow("not read again");
    expect(removed).toEqual([expect.stringMatching(/^check_/)]);
  });

  test.each([
    ["a clock that differs by a minute", () => describeClock(-60_000)],
    ["a peer's clock that differs by a minute", () => describePeer("http://a", true, 60_000)],
    ["a peer whose engine does not answer", () => describePeer("http://a", false, 0)],
    ["a disk with a twentieth free", () => describeRoom({ free: 5e9, size: 100e9 })],
  ])("%s has a remedy", (_what, describe) => {
    expect(describe().remedy).toMatch(/./);
  });

  test.each([
    ["a clock that differs by a second", () => describeClock(1000)],
    ["a peer that answers", () => describePeer("http://a", true, -900)],
    ["a disk with room", () => describeRoom({ free: 50e9, size: 100e9 })],
  ])("%s needs none", (_what, describe) => {
    expect(describe().remedy).toBeUndefined();
  });
});
