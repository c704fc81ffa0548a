import { invalidField } from "../../errors";
import { decodeBase64 } from "../../support/base64";
import type { RegistryAuth } from "../engine";

/** Docker Hub has many host names. */
const HUB = "docker.io";
const HUB_NAMES = new Set([HUB, "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com", "hub.docker.com"]);

/** The registry of an image, as host[:port]. */
export function registryOf(image: string): string {
  const [first = "", ...rest] = image.split("/");
  const isHost = rest.length > 0 && (/[.:]/.test(first) || first === "localhost");
  return isHost ? normalizeRegistry(first) : HUB;
}

/** A registry's address in any form, such as https://index.docker.io/v1/, as host[:port]. */
function normalizeRegistry(address: string): string {
  const host = address
    .replace(/^[a-z]+:\/\//i, "")
    .replace(/\/.*$/s, "")
    .toLowerCase();
  return HUB_NAMES.has(host) ? HUB : host;
}

/**
 * The login for an image's registry.
 * @param auth as the client gave it
 * @returns `withheld`, a warning, if the login is for another registry: then its password is not sent
 * @throws AppError 400 if a service account's key can't be decoded
 */
export function loginFor(image: string, auth: RegistryAuth): RegistryAuth | { withheld: string } {
  const registry = registryOf(image);
  const intended = auth.serveraddress ? normalizeRegistry(auth.serveraddress) : registry;
  if (intended !== registry)
    return { withheld: `auth_config is for ${intended} and was not given to ${registry}, where the image comes from` };
  const serveraddress = registry === HUB ? "https://index.docker.io/v1/" : registry;
  return { ...auth, password: auth.username === "_json_key" ? decodeServiceKey(auth.password) : auth.password, serveraddress };
}

/**
 * The login to pull an image with, from an optional `auth_config`.
 * @returns no `auth` if none was given or it is withheld; the latter with a warning for the client
 * @throws AppError as `loginFor`
 */
export function resolveLogin(image: string, auth: RegistryAuth | undefined): { auth: RegistryAuth | undefined; warnings: string[] } {
  const login = auth && loginFor(image, auth);
  return login && "withheld" in login ? { auth: undefined, warnings: [login.withheld] } : { auth: login, warnings: [] };
}

/** A Google service account's key, which may come in base64: the registry expects the JSON itself. */
function decodeServiceKey(password: string): string {
  if (password.trimStart().startsWith("{")) return password;
  const field = "auth_config.password";
  const key = decodeBase64(password.trim(), field).toString();
  try {
    if (typeof JSON.parse(key) === "object") return key;
  } catch {
    // The error below doesn't contain the parser's, which would quote the key.
  }
  throw invalidField(field, "must be the service account's JSON key in base64");
}
