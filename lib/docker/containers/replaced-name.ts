/** The cuid of a managed container, which is also its name. With another name the label was inherited from a committed image. */
export const CUID_LABEL = "docker-server.cuid";

/** Compose creates the new container as ID_NAME, removes the old one, then renames the new one: the NAME in such a temporary name. */
export const replacedName = (name: string) => /^[0-9a-f]{12}_(.+)$/s.exec(name)?.[1];
