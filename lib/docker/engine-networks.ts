/** Networks that every engine has, and the names that mean its default one. */
export const ENGINE_NETWORKS: ReadonlySet<string> = new Set(["", "default", "bridge", "host", "none"]);

/** Whether a mode names a network that somebody has made, rather than one of every engine's or a container's. */
export const isMadeNetwork = (mode: string): boolean => !ENGINE_NETWORKS.has(mode) && !mode.startsWith("container:");

/** The container in a mode such as `container:web`; undefined in another mode, or in none. */
export const joinedContainer = (mode: string | null | undefined): string | undefined => /^container:(.+)$/.exec(mode ?? "")?.[1];
