import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { listen, type ServerSettings } from "../../../lib/server/listen";
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

test.each([
  ["sends nothing", Buffer.alloc(0)],
  ["sends the beginning of a handshake", CUT_HELLO],
])(
  "over HTTPS a client that %s is disconnected after --header_timeout",
  async (_what, bytes) => {
    const settings: ServerSettings = {
      host: "127.0.0.1",
      port: 0,
      https: true,
      https_cert: cert,
      https_key: key,
      https_chain: path.join(folder, "none"),
      header_timeout: 1,
      request_timeout: 300,
      stop_timeout: 0,
    };
    const handler = { handleRequest: () => undefined, handlesExpectContinue: () => false };
    const server = await listen(handler, settings, quietLog().log, { accept: () => false, close() {} });
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
