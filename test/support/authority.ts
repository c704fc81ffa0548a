import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { runOrThrow } from "../../scripts/process";
import type { CertificateFiles } from "./https";

/** A certificate authority that signs certificates for any names. */
export interface Authority {
  /** Its root certificate, PEM. */
  root: string;
  /** Creates a certificate for DNS names, with its key, in a new folder; there is no chain. */
  issue(...names: string[]): Promise<CertificateFiles>;
  /** Removes its files. */
  stop(): void;
}

const NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

/** Creates a certificate authority with its own root. */
export async function makeAuthority(): Promise<Authority> {
  const folder = mkdtempSync(path.join(tmpdir(), "docker-server-authority-"));
  const root = path.join(folder, "root.pem");
  const key = path.join(folder, "root-key.pem");
  // Clients distinguish roots by subject.
  const subject = ["-subj", `/CN=${path.basename(folder)}`];
  await runOrThrow("openssl", ["req", "-x509", "-days", "30", ...NEW_KEY, "-keyout", key, ...subject, "-out", root]);
  let issued = 0;
  return {
    root,
    async issue(...names) {
      const place = path.join(folder, String(++issued));
      mkdirSync(place);
      const at = (file: string) => path.join(place, file);
      const files = { cert: at("cert.pem"), privkey: at("privkey.pem"), chain: at("chain.pem") };
      writeFileSync(at("names"), `subjectAltName=${names.map((name) => `DNS:${name}`).join(",")}\n`);
      await runOrThrow("openssl", ["req", ...NEW_KEY, "-keyout", files.privkey, "-subj", "/CN=node", "-out", at("request.pem")]);
      const signing = ["-CA", root, "-CAkey", key, "-CAcreateserial", "-days", "30", "-extfile", at("names")];
      await runOrThrow("openssl", ["x509", "-req", "-in", at("request.pem"), ...signing, "-out", files.cert]);
      return files;
    },
    stop: () => rmSync(folder, { recursive: true, force: true }),
  };
}
