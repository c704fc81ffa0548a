import { X509Certificate } from "node:crypto";
import { type FSWatcher, readFileSync, watch } from "node:fs";
import path from "node:path";
import { createSecureContext, type SecureContextOptions } from "node:tls";
import type { Logger } from "../support/logger";

/** Paths of PEM files; the chain is optional. */
export interface CertificateSettings {
  https_cert: string;
  https_key: string;
  https_chain: string;
}

/** A renewal writes several files: they are read once none has changed for this time. */
const SETTLE_MS = 300;
/** Some file systems, such as network shares, report no changes: the files are read at this interval too. */
const POLL_INTERVAL_MS = 60_000;

/**
 * Reads the certificate, its key and, if the file exists, its chain.
 * @throws Error if a file can't be read, or the key doesn't belong to the certificate
 */
export function readCertificates(settings: CertificateSettings): SecureContextOptions {
  const cert = readPem("https_cert", settings.https_cert);
  const key = readPem("https_key", settings.https_key);
  const chain = readChain(settings.https_chain);
  const context = { cert: [cert.trimEnd(), chain].join("\n"), key };
  try {
    createSecureContext(context);
  } catch (error) {
    const files = [settings.https_cert, settings.https_key, ...(chain ? [settings.https_chain] : [])].join(", ");
    throw new Error(`HTTPS can't be served with ${files}: ${(error as Error).message}`);
  }
  return context;
}

/** When a certificate ends, seconds since 1970; undefined if the file can't be read, as while it is being replaced. */
export function certificateEnd(file: string): number | undefined {
  try {
    return Date.parse(new X509Certificate(readFileSync(file)).validTo) / 1000;
  } catch {
    return undefined;
  }
}

/** A certificate that ends sooner than this should have been renewed, as in examples/prometheus-alerts.yml. */
const RENEWAL_MS = 14 * 86_400_000;

/**
 * Tells a certificate's end and host names, for people, with a remedy if it can't serve well.
 * @param expectedName the name that other nodes expect of it; null if they expect none
 * @throws Error if the files can't be used
 */
export function describeCertificate(settings: CertificateSettings, expectedName: string | null): { found: string; remedy?: string } {
  const { cert } = readCertificates(settings);
  const certificate = new X509Certificate(cert as string);
  const names = (certificate.subjectAltName ?? "").replaceAll("IP Address:", "").replaceAll("DNS:", "");
  const endsAt = Date.parse(certificate.validTo);
  const end = new Date(endsAt).toISOString().slice(0, 10);
  const found = `for ${names || "no host name"}, ${endsAt < Date.now() ? "ended" : "valid until"} ${end}`;
  if (endsAt < Date.now() + RENEWAL_MS) return { found, remedy: "Renew it: the server uses new files at once" };
  if (Date.parse(certificate.validFrom) > Date.now())
    return { found: `${found}, not before ${certificate.validFrom}`, remedy: "Set this machine's clock" };
  if (names === "") return { found, remedy: "Get one with a subjectAltName: clients accept no other" };
  if (expectedName !== null && certificate.checkHost(expectedName) === undefined)
    return { found, remedy: `Other nodes expect ${expectedName} (--peer_servername): get one for it, or change the setting` };
  return { found };
}

function readPem(setting: keyof CertificateSettings, file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new Error(`HTTPS can't be served: --${setting} ${file} can't be read (${code})`, { cause: error });
  }
}

function readChain(file: string): string {
  try {
    return readPem("https_chain", file);
  } catch (error) {
    if (((error as Error).cause as NodeJS.ErrnoException).code === "ENOENT") return "";
    throw error;
  }
}

/**
 * Watches the certificate files, symbolic links included. Unusable files are logged, and the certificate in use stays.
 * @param onRenewed receives each new, valid certificate
 * @returns stops watching
 */
export function watchCertificates(
  settings: CertificateSettings,
  onRenewed: (context: SecureContextOptions) => void,
  log: Logger,
): () => void {
  let current = JSON.stringify(readCertificates(settings));
  let timer: NodeJS.Timeout | undefined;
  const scheduleReload = () => {
    clearTimeout(timer);
    timer = setTimeout(reload, SETTLE_MS);
  };
  let watchers = watchFiles(settings, scheduleReload, log);
  const reload = () => {
    // A watcher of a replaced file still watches the old inode. New watchers start before the old ones close, so that no change is missed.
    const previousWatchers = watchers;
    watchers = watchFiles(settings, scheduleReload, log);
    for (const watcher of previousWatchers) watcher.close();
    try {
      const context = readCertificates(settings);
      if (JSON.stringify(context) === current) return;
      onRenewed(context);
      current = JSON.stringify(context);
      log.info("Certificate renewed and is in use");
    } catch (error) {
      log.warn("Certificate files not usable, previous certificate stays in use", { reason: (error as Error).message });
    }
  };
  const interval = setInterval(reload, POLL_INTERVAL_MS);
  interval.unref();
  return () => {
    clearTimeout(timer);
    clearInterval(interval);
    for (const watcher of watchers) watcher.close();
  };
}

// Folders and files: certbot renews by replacing links, which changes their folder; a single file mounted into a container changes
// without a change of its folder there.
function watchFiles(settings: CertificateSettings, onChange: () => void, log: Logger): FSWatcher[] {
  const files = [settings.https_cert, settings.https_key, settings.https_chain].map((file) => path.resolve(file));
  const folders = files.map((file) => path.dirname(file));
  return [...new Set([...folders, ...files])].flatMap((watchedPath) => {
    const logFailure = (error: unknown) =>
      log.debug("Certificate path not watched, only polled", { path: watchedPath, reason: (error as Error).message });
    try {
      return [watch(watchedPath, { persistent: false }, onChange).on("error", logFailure)];
    } catch (error) {
      logFailure(error);
      return [];
    }
  });
}
