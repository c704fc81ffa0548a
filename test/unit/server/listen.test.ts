import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { listen, type ServerSettings } from "../../../lib/server/listen";
import { until } from "../../../scripts/process";
import { quietLog } from "../../support/unit/quiet-log";

const folder = mkdtempSync(path.join(tmpdir(), "listen-"));
const [cert, key] = [path.join(folder, "cert.pem"), path.join(folder, "key.pem")];
beforeAll(() => {
  const made = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-subj", "/CN=x", "-out", cert];
  execFileSync("openssl", ["req", "-x509", "-days", "1", ...made], { stdio: "ignore" });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The first bytes of a TLS handshake: the head of a record that never comes. */
const CUT_HELLO = Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01]);

const settingsOf = (https: boolean): ServerSettings => ({
  host: "127.0.0.1",
  port: 0,
  https,
  https_cert: cert,
  https_key: key,
  https_chain: path.join(folder, "none"),
  header_timeout: 1,
  request_timeout: 300,
  stop_timeout: 0,
});
const handler = { handleRequest: () => undefined, handlesExpectContinue: () => false };
const start = (https: boolean) => listen(handler, settingsOf(https), quietLog().log, { accepts: () => false, take() {}, close() {} });

test.each([
  ["sends nothing", Buffer.alloc(0)],
  ["sends the beginning of a handshake", CUT_HELLO],
])(
  "over HTTPS a client that %s is disconnected after --header_timeout",
  async (_what, bytes) => {
    const server = await start(true);
    const client = net
      .connect(server.port, "127.0.0.1")
      .resume()
      .on("error", () => undefined);
    client.write(bytes);
    await new Promise((resolve) => client.once("close", resolve));
    await server.stop();
  },
  30_000,
);

/** The timer of an established connection to a local port, as the kernel lists it: 2 is that of keep-alive probes (proc_net_tcp). */
function timerOf(localPort: number, remotePort: number): number | undefined {
  const hex = (port: number) => `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  const rows = readFileSync("/proc/self/net/tcp", "utf8")
    .split("\n")
    .map((row) => row.trim().split(/\s+/));
  const row = rows.find(([, local, remote]) => local?.endsWith(hex(localPort)) && remote?.endsWith(hex(remotePort)));
  return row && Number.parseInt(row[5] as string, 16);
}

test.each([false, true])("the kernel asks whether a silent client still exists, with HTTPS %s", async (https) => {
  const server = await start(https);
  const client = net.connect(server.port, "127.0.0.1").on("error", () => undefined);
  await new Promise((resolve) => client.once("connect", resolve));
  const { localPort } = client;
  expect(await until(() => timerOf(server.port, localPort as number) === 2, 10_000)).toBe(true);
  client.destroy();
  await server.stop();
});
