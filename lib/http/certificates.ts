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
/** Some file systems (network shares, single files mounted into a container) tell of no change: looked at this often (ms). */
const LOOK_INTERVAL = 60_000;

/**
 * Reads the certificate, its key and, if it is there, its chain.
 * @throws Error if a file can't be read, or they don't belong together
 */
export function readCertificates(settings: CertificateSettings): SecureContextOptions {
  const cert = readFileSync(settings.https_cert, "utf8");
  const context = { cert: [cert.trimEnd(), readChain(settings.https_chain)].join("\n"), key: readFileSync(settings.https_key, "utf8") };
  createSecureContext(context);
  return context;
}

function readChain(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
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
  const look = () => {
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
  const soon = () => {
    clearTimeout(timer);
    timer = setTimeout(look, STILL);
  };
  const watchers = watchFolders(settings, soon, log);
  const interval = setInterval(look, LOOK_INTERVAL);
  interval.unref();
  return () => {
    clearTimeout(timer);
    clearInterval(interval);
    for (const watcher of watchers) watcher.close();
  };
}

// certbot renews by pointing links elsewhere: that is a change of their folder.
function watchFolders(settings: CertificateSettings, changed: () => void, log: Logger): FSWatcher[] {
  const folders = new Set([settings.https_cert, settings.https_key, settings.https_chain].map((file) => path.dirname(path.resolve(file))));
  return [...folders].flatMap((folder) => {
    try {
      const watcher = watch(folder, { persistent: false }, changed);
      watcher.on("error", (error) => log.warn("a folder of certificates is no longer watched", { folder, reason: error.message }));
      return [watcher];
    } catch (error) {
      log.warn("a folder of certificates can't be watched; its files are looked at every minute", {
        folder,
        reason: (error as Error).message,
      });
      return [];
    }
  });
}
