import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import https from "node:https";
import path from "node:path";
import { text } from "node:stream/consumers";
import { startDaemon } from "../../scripts/daemon";
import { runOrThrow } from "../../scripts/process";
import { type Place, takePlace } from "./bed";
import { accepts, freePorts } from "./ports";

/** Paths of certbot's files for a domain (symbolic links that a renewal changes), and of the CA's root. */
export interface Certificate {
  cert: string;
  chain: string;
  fullchain: string;
  privkey: string;
  root: string;
}

/** An ACME certificate authority on 127.0.0.1, like Let's Encrypt, with certbot as its client. */
export interface Acme {
  /** A folder for certificates; `stop()` removes it. */
  folder: string;
  /** Gets a certificate for a domain (any name: all resolve to this machine), with `dir` as certbot's folder. */
  issue(domain: string, dir: string): Promise<Certificate>;
  /** Renews every certificate in `dir` at once as certbot does: it writes new files and changes the links. */
  renew(dir: string): Promise<void>;
  /** Ends it and removes its folder. Safe to call twice. */
  stop(): Promise<void>;
}

/**
 * Starts an ACME server that checks domains over HTTP (http-01).
 * Throws an Error with the last log lines of a server that can't be started; `issue` and `renew` throw an Error with certbot's output.
 */
export async function startAcme(): Promise<Acme> {
  const place = await takePlace("acme");
  try {
    const [acme, management, http, tls, dns, dnsManagement] = (await freePorts(6)) as SixPorts;
    await makeServerCertificate(place.folder);
    await startDns(place, dns, dnsManagement);
    await startPebble(place, { acme, management, http, tls, dns });
    const root = await getPem(place, `https://127.0.0.1:${management}/roots/0`);
    const certbot = (dir: string, args: string[]) => runCertbot(place, dir, args);
    const domainCheck = ["--standalone", "--http-01-address", "127.0.0.1", "--http-01-port", String(http)];
    const account = ["--agree-tos", "--register-unsafely-without-email"];
    return {
      folder: place.folder,
      issue: async (domain, dir) => {
        const server = ["--server", `https://127.0.0.1:${acme}/dir`];
        await certbot(dir, ["certonly", ...server, ...account, ...domainCheck, "--domain", domain]);
        writeFileSync(path.join(dir, "root.pem"), root);
        return certificateIn(dir, domain);
      },
      renew: (dir) => certbot(dir, ["renew", "--force-renewal", "--no-random-sleep-on-renew"]),
      stop: place.release,
    };
  } catch (error) {
    await place.release();
    throw error;
  }
}

type SixPorts = [number, number, number, number, number, number];

/** Creates the ACME server's own HTTPS certificate; it doesn't issue this one. */
async function makeServerCertificate(folder: string): Promise<void> {
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", `${folder}/key.pem`];
  const names = ["-subj", "/CN=acme", "-addext", "subjectAltName=IP:127.0.0.1"];
  await runOrThrow("openssl", ["req", "-x509", "-days", "30", ...key, ...names, "-out", serverCertificate(folder)]);
}

const serverCertificate = (folder: string) => path.join(folder, "server.pem");

/** Starts a name server that resolves every name to 127.0.0.1. */
async function startDns(place: Place, dns: number, management: number): Promise<void> {
  const off = ["-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", ""];
  await startDaemon({
    command: "pebble-challtestsrv",
    args: [...off, "-dns01", `127.0.0.1:${dns}`, "-management", `127.0.0.1:${management}`],
    cwd: place.folder,
    logFile: path.join(place.folder, "dns.log"),
    ready: () => accepts(dns),
  });
}

async function startPebble(
  place: Place,
  ports: { acme: number; management: number; http: number; tls: number; dns: number },
): Promise<void> {
  const config = path.join(place.folder, "pebble.json");
  const settings = {
    listenAddress: `127.0.0.1:${ports.acme}`,
    managementListenAddress: `127.0.0.1:${ports.management}`,
    certificate: serverCertificate(place.folder),
    privateKey: path.join(place.folder, "key.pem"),
    httpPort: ports.http,
    tlsPort: ports.tls,
  };
  writeFileSync(config, JSON.stringify({ pebble: settings }));
  await startDaemon({
    command: "pebble",
    args: ["-config", config, "-dnsserver", `127.0.0.1:${ports.dns}`],
    // By default pebble delays validations by some seconds and rejects some nonces, to test clients.
    env: { ...process.env, PEBBLE_VA_NOSLEEP: "1", PEBBLE_WFE_NONCEREJECT: "0" },
    cwd: place.folder,
    logFile: path.join(place.folder, "pebble.log"),
    ready: async () => (await accepts(ports.acme)) && (await accepts(ports.management)),
  });
}

async function runCertbot(place: Place, dir: string, args: string[]): Promise<void> {
  const folders = ["--config-dir", dir, "--work-dir", path.join(dir, "work"), "--logs-dir", path.join(dir, "logs")];
  mkdirSync(dir, { recursive: true });
  await runOrThrow("certbot", [...args, "--non-interactive", ...folders], {
    env: { ...process.env, REQUESTS_CA_BUNDLE: serverCertificate(place.folder) },
  });
}

function getPem(place: Place, url: string): Promise<string> {
  const ca = readFileSync(serverCertificate(place.folder));
  return new Promise((resolve, reject) => {
    https.get(url, { ca }, (response) => text(response).then(resolve, reject)).on("error", reject);
  });
}

function certificateIn(dir: string, domain: string): Certificate {
  const live = (name: string) => path.join(dir, "live", domain, name);
  return {
    cert: live("cert.pem"),
    chain: live("chain.pem"),
    fullchain: live("fullchain.pem"),
    privkey: live("privkey.pem"),
    root: path.join(dir, "root.pem"),
  };
}
