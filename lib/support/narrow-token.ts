/** Every narrow token begins so; the digit is the version of the format. */
export const TOKEN_PREFIX = "ds1_";

export const isNarrowToken = (token: string) => token.startsWith(TOKEN_PREFIX);

/** Why a server takes none as a token of its own: whoever holds it would have all rights. */
export const NO_ROOT_TOKEN =
  "must not be a narrow token, or its holder would have all rights: give the server's own token, and narrow it by docker-server token narrow";
