import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { type Daemon, startDaemon } from "../../scripts/daemon";
import { runOrThrow } from "../../scripts/process";
import { type Place, ROOT_ADDRESS, takePlace } from "./bed";
import type { Engine } from "./engine";

/** Docker's manifests, and those that the containerd image store pushes. */
export const MANIFESTS = "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json";

/** A user name and password for a registry. */
export interface Login {
  username: string;
  password: string;
}

/** An image registry over plain HTTP that every engine of the test bed reaches and trusts. */
export interface Registry {
  /** Host and port, as they stand before the first slash of an image reference. */
  host: string;
  /** Ends it and removes its images. Safe to call twice. */
  stop(): Promise<void>;
}

/**
 * Starts an empty registry; with `users` (name to password) every request needs one of these logins. It listens
 * on the test bed's bridge, or on `address`. Throws an Error with its last log lines if it cannot start.
 */
export async function startRegistry(options: { users?: Record<string, string>; address?: string } = {}): Promise<Registry> {
  const place = await takePlace("registry");
  try {
    await configure(place, options.address ?? ROOT_ADDRESS, options.users);
    await serve(place);
    return { host: listeningAddress(place), stop: place.release };
  } catch (error) {
    await place.release();
    throw error;
  }
}

async function configure(place: Place, address: string, users?: Record<string, string>): Promise<void> {
  const htpasswd = path.join(place.folder, "htpasswd");
  // The registry reads YAML; JSON is valid YAML.
  const settings = {
    version: 0.1,
    log: { formatter: "json", accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: path.join(place.folder, "images") }, delete: { enabled: true } },
    http: { addr: `${address}:0` },
    ...(users && { auth: { htpasswd: { realm: "test", path: htpasswd } } }),
  };
  writeFileSync(path.join(place.folder, "config.yml"), JSON.stringify(settings));
  let lines = "";
  for (const [name, password] of Object.entries(users ?? {})) {
    lines += await runOrThrow("htpasswd", ["-Bin", name], { input: password });
  }
  writeFileSync(htpasswd, lines);
}

function serve(place: Place): Promise<Daemon> {
  return startDaemon({
    command: "docker-registry",
    args: ["serve", path.join(place.folder, "config.yml")],
    cwd: place.folder,
    logFile: path.join(place.folder, "registry.log"),
    ready: async () => listeningAddress(place) !== "",
  });
}

function listeningAddress(place: Place): string {
  return /listening on ([\d.]+:\d+)/.exec(readFileSync(path.join(place.folder, "registry.log"), "utf8"))?.[1] ?? "";
}

/**
 * Pushes an engine's image `name` under the same name to a registry and returns the reference to pull it by.
 * The engine keeps only the image's original name. Throws an Error with docker's message.
 */
export async function pushImage(engine: Engine, registry: Registry, name: string, auth?: Login): Promise<string> {
  const reference = `${registry.host}/${name}`;
  await docker(engine, ["tag", name, reference]);
  const settings = cliSettings(engine.folder, registry, auth);
  try {
    await docker(engine, ["--config", settings, "push", "--quiet", reference]);
  } finally {
    rmSync(settings, { recursive: true });
    await docker(engine, ["rmi", reference]);
  }
  return reference;
}

/**
 * Pushes a manifest that has the layers of an image in the registry and a config of its own.
 * @param names its repository, its tag, and the tag to push
 * @param edit makes the new config from the image's
 * @param mediaTypes of the new manifest and its config; those of the image if absent
 */
export async function pushVariant(
  { host }: Registry,
  names: [string, string, string],
  edit: (config: object) => object,
  mediaTypes?: { manifest: string; config: string },
): Promise<void> {
  const [name, tag, newTag] = names;
  const base = `http://${host}/v2/${name}`;
  const manifest = (await (await fetch(`${base}/manifests/${tag}`, { headers: { Accept: MANIFESTS } })).json()) as {
    mediaType: string;
    config: { mediaType: string; digest: string };
  };
  const types = mediaTypes ?? { manifest: manifest.mediaType, config: manifest.config.mediaType };
  const config = JSON.stringify(edit((await (await fetch(`${base}/blobs/${manifest.config.digest}`)).json()) as object));
  const digest = `sha256:${createHash("sha256").update(config).digest("hex")}`;
  const upload = new URL((await fetch(`${base}/blobs/uploads/`, { method: "POST" })).headers.get("location") ?? "");
  upload.searchParams.set("digest", digest);
  await fetch(upload, { method: "PUT", body: config, headers: { "Content-Type": "application/octet-stream" } });
  const body = JSON.stringify({
    ...manifest,
    mediaType: types.manifest,
    config: { mediaType: types.config, size: Buffer.byteLength(config), digest },
  });
  const { ok } = await fetch(`${base}/manifests/${newTag}`, { method: "PUT", body, headers: { "Content-Type": types.manifest } });
  if (!ok) throw new Error(`The registry refuses ${name}:${newTag}`);
}

/** Creates a configuration folder for the docker CLI below `parent`, with the login for a registry. Returns its path. */
export function cliSettings(parent: string, registry: Registry, auth?: Login): string {
  mkdirSync(parent, { recursive: true });
  const folder = mkdtempSync(path.join(parent, "cli-"));
  const encoded = auth && Buffer.from(`${auth.username}:${auth.password}`).toString("base64");
  const auths = encoded ? { [registry.host]: { auth: encoded } } : {};
  writeFileSync(path.join(folder, "config.json"), JSON.stringify({ auths }), { mode: 0o600 });
  return folder;
}

async function docker(engine: Engine, args: string[]): Promise<void> {
  const { code, stderr } = await engine.docker(args);
  if (code !== 0) throw new Error(`docker ${args.join(" ")}: ${stderr.trim()}`);
}
