import { Access } from "../../../lib/access/access";
import type { Caveats } from "../../../lib/access/caveats";
import { makeToken, narrowToken, readClaim, type TokenClaim } from "../../../lib/access/token";

/** A key that tokens are signed with. */
export const TOKEN_KEY = Buffer.alloc(32, 7);

/** An hour from now, in seconds since 1970. */
export const inAnHour = () => Math.floor(Date.now() / 1000) + 3600;

/** A token whose links have these caveats; the first expires in an hour unless it says otherwise. */
export function tokenOf(first: Caveats = {}, ...others: Caveats[]): string {
  return others.reduce(narrowToken, makeToken(TOKEN_KEY, { expires: inAnHour(), ...first }));
}

/** What the holder of such a token may do. */
export function accessOf(...links: [Caveats, ...Caveats[]]): Access {
  return Access.of(readClaim(tokenOf(...links)) as TokenClaim);
}
