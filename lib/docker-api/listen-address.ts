import { X509Certificate } from "node:crypto";
import { BlockList, isIP } from "node:net";
import { rootCertificates } from "node:tls";
import { readSettingsFile, SettingsError } from "../support/settings-error";
import { fromUrlHost } from "../support/url-host";

/** Where the Docker API listens besides the main port. */
export type DockerAddress = { kind: "socket"; path: string } | { kind: "tcp"; host: string; port: number };

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet("127.0.0.0", 8, "ipv4");
LOOPBACK.addAddress("::1", "ipv6");

/**
 * Parses an address of `--docker_listen`.
 * @throws Error that says what it must be
 */
export function parseDockerAddress(text: string): DockerAddress {
  const [, path] = /^unix:\/\/(\/.+)$/.exec(text) ?? [];
  if (path !== undefined) return { kind: "socket", path };
  if (/^tcp:\/\/[^/?#@]+$/.test(text) && URL.canParse(text)) {
    const { hostname, port } = new URL(text);
    if (port !== "" && isIP(fromUrlHost(hostname)) !== 0) return { kind: "tcp", host: fromUrlHost(hostname), port: Number(port) };
  }
  throw new Error("must be unix:///path, or tcp://address:port");
}

/**
 * @param hasAuthority whether clients prove themselves by certificates of an authority
 * @throws SettingsError for an address that others reach, without such an authority
 */
export function assertSafe(address: DockerAddress, hasAuthority: boolean): void {
  if (address.kind === "socket" || hasAuthority || isLoopback(address.host)) return;
  throw new SettingsError(`--docker_listen tcp://${address.host}:${address.port} needs --docker_tls_ca: it is not on loopback`);
}

function isLoopback(host: string): boolean {
  return LOOPBACK.check(host, isIP(host) === 6 ? "ipv6" : "ipv4");
}

/**
 * Reads the certificate authority that signs clients' certificates.
 * @returns PEM
 * @throws Error if the file can't be read, or has no certificate, or one of a public authority, which would sign a certificate for anybody
 */
export function readClientAuthority(file: string): string {
  const pem = readSettingsFile("docker_tls_ca", file);
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? [];
  if (blocks.length === 0) throw new Error(`--docker_tls_ca ${file} holds no certificate`);
  const known = new Set(rootCertificates.map((each) => new X509Certificate(each).fingerprint256));
  const knownKeys = new Set(rootCertificates.map((each) => new X509Certificate(each).subject));
  for (const block of blocks) {
    const { fingerprint256, issuer, subject } = new X509Certificate(block);
    if (known.has(fingerprint256) || knownKeys.has(issuer))
      throw new Error(`--docker_tls_ca ${file} holds the certificate of a public authority: ${subject}`);
  }
  return pem;
}
