import { type FSWatcher, readFileSync, watch } from "node:fs";
import path from "node:path";
import { createSecureContext, type SecureContextOptions } from "node:tls";
import type { Logger } from "../support/logger";

export interface CertificateSettings {
  https_cert: string;
  https_key: string;
  https_chain: string;
}

/** A renewal writes several files: they are read when they have been still for so long (ms). */
const STILL = 300;
/** Some file systems, such as network shares, tell of no change: looked at this often (ms). */
const LOOK_INTERVAL = 60_000;

/**
 * Reads the certificate, its key and, if it is there, its chain.
 * @throws Error if a file can't be read, or they don't belong together
 */
export function readCertificates(settings: CertificateSettings): SecureContextOptions {
  const cert = readPem(settings.https_cert);
  const key = readPem(settings.https_key);
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

function readPem(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new Error(`HTTPS can't be served: ${file} can't be read (${(error as NodeJS.ErrnoException).code})`, { cause: error });
  }
}

function readChain(file: string): string {
  try {
    return readPem(file);
  } catch (error) {
    if (((error as Error).cause as NodeJS.ErrnoException).code === "ENOENT") return "";
    throw error;
  }
}

/**
 * Watches the certificate's files, links included, and hands on what is new and usable; until then the old stays in use.
 * @param use is given the new ones
 * @returns ends it
 */
export function watchCertificates(settings: CertificateSettings, use: (context: SecureContextOptions) => void, log: Logger): () => void {
  let current = JSON.stringify(readCertificates(settings));
  let timer: NodeJS.Timeout | undefined;
  const soon = () => {
    clearTimeout(timer);
    timer = setTimeout(look, STILL);
  };
  let watchers = watchFiles(settings, soon, log);
  const look = () => {
    // Where a file was put in another's place, the watcher still has the old one. The new come first, so that no change is missed.
    const before = watchers;
    watchers = watchFiles(settings, soon, log);
    for (const watcher of before) watcher.close();
    try {
      const found = readCertificates(settings);
      if (JSON.stringify(found) === current) return;
      use(found);
      current = JSON.stringify(found);
      log.info("the certificate was renewed and is in use");
    } catch (error) {
      log.warn("the certificate's files can't be used; the certificate read before stays in use", { reason: (error as Error).message });
    }
  };
  const interval = setInterval(look, LOOK_INTERVAL);
  interval.unref();
  return () => {
    clearTimeout(timer);
    clearInterval(interval);
    for (const watcher of watchers) watcher.close();
  };
}

// certbot renews by pointing links elsewhere: that is a change of their folder. A single file that is mounted into a container
// changes without its folder there.
function watchFiles(settings: CertificateSettings, changed: () => void, log: Logger): FSWatcher[] {
  const files = [settings.https_cert, settings.https_key, settings.https_chain].map((file) => path.resolve(file));
  const folders = files.map((file) => path.dirname(file));
  return [...new Set([...folders, ...files])].flatMap((watched) => {
    const failed = (error: unknown) =>
      log.debug("certificates are looked at every minute: not watched", { path: watched, reason: (error as Error).message });
    try {
      return [watch(watched, { persistent: false }, changed).on("error", failed)];
    } catch (error) {
      failed(error);
      return [];
    }
  });
}
