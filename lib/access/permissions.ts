/** What a token may permit. Every route declares the one that it needs (docs/security.md, "Permissions"). */
export const PERMISSIONS = ["read", "logs", "exec", "run", "containers", "images", "volumes", "files", "proxy", "nodes", "admin"] as const;

export type Permission = (typeof PERMISSIONS)[number];

/**
 * How a route keeps to the `labels` of a token:
 * - container: `:id` is looked up only among the containers that have them
 * - volume: `:name` is looked up only among the volumes that have them
 * - handler: the handler reads them from `call.access`
 * - untouched: the route touches no container, volume or network
 * A route without a declaration refuses such tokens.
 */
export type Confinement = "container" | "volume" | "handler" | "untouched";
