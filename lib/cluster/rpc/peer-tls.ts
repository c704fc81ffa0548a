import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { createSecureContext } from "node:tls";
import { readSettingsFile } from "../../support/settings-error";
import type { PeerTls } from "./peer-client";

export interface PeerTlsSettings {
  peer_ca: string | null;
  peer_servername: string | null;
  https: boolean;
  https_cert: string;
}

/**
 * TLS of the connections to other nodes. One certificate often serves all nodes, which reach each other by address: its own name is then
 * expected of the peers.
 * @throws Error if the file of the certificate authority contains no certificate
 */
export function peerTls(settings: PeerTlsSettings): () => PeerTls {
  const secureContext = createSecureContext();
  // Added to the system's roots, which the option `ca` would replace.
  if (settings.peer_ca !== null) secureContext.context.addCACert(readCertificates(settings.peer_ca));
  let lastName: string | undefined;
  return () => {
    if (settings.https && settings.peer_servername === null) lastName = certificateName(settings.https_cert) ?? lastName;
    const servername = settings.peer_servername ?? lastName;
    return { secureContext, ...(servername ? { servername } : {}) };
  };
}

/** @throws Error that names the setting, if the file can't be read or contains no certificate */
function readCertificates(file: string): string {
  const pem = readSettingsFile("peer_ca", file);
  if (!pem.includes("-----BEGIN CERTIFICATE-----")) throw new Error(`--peer_ca ${file} holds no certificate`);
  new X509Certificate(pem);
  return pem;
}

/** The first DNS name of a certificate; undefined if it has none, or if a renewal is replacing the file right now. */
function certificateName(file: string): string | undefined {
  try {
    const { subjectAltName = "" } = new X509Certificate(readFileSync(file));
    return /DNS:([^,\s]+)/.exec(subjectAltName)?.[1]?.replace(/^\*\./, "node.");
  } catch {
    return undefined;
  }
}
