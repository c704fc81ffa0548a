import { readFileSync } from "node:fs";
import { Access } from "../access/access";
import { decodeLink, deriveTokenKey, makeToken, narrowToken, readClaim, readRequestedCaveats, type TokenClaim } from "../access/token";
import { tokensOf } from "../auth/credentials";
import { type RootSecretSettings, rootSecrets } from "../auth/narrow-tokens";

const USAGE = `Usage:
  docker-server token make CAVEATS [options]  a new token; the options are those of the server: --token, --cluster_key …
  docker-server token narrow TOKEN CAVEATS    a token that permits no more than both; needs no server and no key
  docker-server token show TOKEN              what a token says, unverified
CAVEATS is JSON, such as '{"can":["read","logs"],"expires":"12h"}'. TOKEN may be -, for standard input.
To revoke a token, put the id that "show" tells into the file that the server's --revoked names.`;

/**
 * `docker-server token …` (docs/security.md, "Make and narrow tokens").
 * @param argv arguments after `token`
 * @param loadSettings reads the server's settings from the rest of the arguments; null when it has printed --help or --version
 * @returns the text to print
 * @throws Error whose message is for the terminal
 */
export async function tokenCommand(argv: string[], loadSettings: (argv: string[]) => Promise<RootSecretSettings | null>): Promise<string> {
  const [verb, first, second, ...rest] = argv;
  if (first?.startsWith("--")) throw new Error(`${USAGE}\nCAVEATS and TOKEN come first, not ${first.split("=")[0]}.`);
  if (verb === "make" && first !== undefined) {
    const settings = await loadSettings(argv.slice(2));
    if (settings === null) return "";
    const secret = rootSecrets(settings)[0] ?? firstToken(settings.token_file);
    if (secret === undefined) throw new Error("the server's --cluster_key, --token or --token_file is needed to make a token");
    return checked(makeToken(deriveTokenKey(secret), parseCaveats(first)));
  }
  if (verb === "narrow" && first !== undefined && second !== undefined && rest.length === 0) {
    const token = readArgument(first);
    const caveats = parseCaveats(second);
    const narrowed = checked(narrowToken(token, caveats));
    accessOf(token).assertLeavesPermission(caveats);
    return narrowed;
  }
  if (verb === "show" && first !== undefined && second === undefined) {
    const claim = readClaim(readArgument(first));
    if (!claim) throw new Error("this is no whole narrow token: it begins with ds1_ and has all its parts");
    return JSON.stringify({ id: claim.id, caveats: claim.links.map(decodeLink) }, undefined, 2);
  }
  throw new Error(USAGE);
}

/** @throws AppError TOKEN_REFUSED: a token that would be refused is not made */
function checked(token: string): string {
  accessOf(token);
  return token;
}

/** @param token that is well-formed */
const accessOf = (token: string) => Access.of(readClaim(token) as TokenClaim);

function parseCaveats(text: string) {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error(`the caveats must be JSON, such as '{"can":["read"],"expires":"12h"}'`);
  }
  return readRequestedCaveats(value);
}

const firstToken = (file: string | null) => (file === null ? undefined : tokensOf(readFileSync(file, "utf8"))[0]);

const readArgument = (argument: string) => (argument === "-" ? readFileSync(0, "utf8").trim() : argument);
