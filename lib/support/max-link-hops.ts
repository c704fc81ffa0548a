/** Symbolic links followed in one path, as in Linux (MAXSYMLINKS). */
export const MAX_LINK_HOPS = 40;
