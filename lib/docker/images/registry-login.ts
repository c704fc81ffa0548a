import type { RegistryAuth } from "../engine";
import { invalidField } from "../../errors";
import { decodeBase64 } from "../../support/base64";

/** Docker Hub goes by many names. */
const HUB = "docker.io";
const HUB_NAMES = new Set([HUB, "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com", "hub.docker.com"]);

/** The registry that an image comes from, as host[:port]. */
export function registryOf(image: string): string {
  const [first = "", ...rest] = image.split("/");
  const isHost = rest.length > 0 && (/[.:]/.test(first) || first === "localhost");
  return isHost ? plain(first) : HUB;
}

/** A registry's address in whatever form, such as https://index.docker.io/v1/, as host[:port]. */
function plain(address: string): string {
  const host = address
    .replace(/^[a-z]+:\/\//i, "")
    .replace(/\/.*$/s, "")
    .toLowerCase();
  return HUB_NAMES.has(host) ? HUB : host;
}

/**
 * The login that a registry gets for an image.
 * @param auth as it was given
 * @returns it, or why it is given to nobody: a password for one registry is not for another
 * @throws AppError if a key in base64 isn't one
 */
export function loginFor(image: string, auth: RegistryAuth): RegistryAuth | { withheld: string } {
  const registry = registryOf(image);
  const meant = auth.serveraddress ? plain(auth.serveraddress) : registry;
  if (meant !== registry) return { withheld: `auth_config is for ${meant} and was not given to ${registry}, where the image comes from` };
  const serveraddress = registry === HUB ? "https://index.docker.io/v1/" : registry;
  return { ...auth, password: auth.username === "_json_key" ? keyOf(auth.password) : auth.password, serveraddress };
}

/** A Google service account's key, which may come in base64: the registry wants the JSON itself. */
function keyOf(password: string): string {
  if (password.trimStart().startsWith("{")) return password;
  const field = "auth_config.password";
  const key = decodeBase64(password.trim(), field).toString();
  try {
    if (typeof JSON.parse(key) === "object") return key;
  } catch {
    // said below, without any of it
  }
  throw invalidField(field, "must be the service account's JSON key in base64");
}
