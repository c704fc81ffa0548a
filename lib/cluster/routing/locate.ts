import { AppError } from "../../errors";
import { callPeers, type Found, type Pool } from "../pool";
import type { Missing } from "../rpc/fan-out";

export interface Owners {
  owners: { node: string; found: Found }[];
  missing: Missing[];
}

/**
 * Finds who holds a container: by its name or full id exactly in the whole pool, else, if that is allowed, by the beginning
 * of an id that only one container has.
 * @throws AppError CONTAINER_NOT_FOUND; AMBIGUOUS_ID; NODES_MISSING if it is nowhere but not all nodes answer
 */
export async function findOwners(pool: Pool, id: string, options: { prefix: boolean }): Promise<Owners> {
  const [local, { answers, missing }] = await Promise.all([
    pool.host.find(id).then(
      (value) => ({ node: pool.self, value }),
      (error: Error) => ({ node: pool.self, reason: error.message }),
    ),
    callPeers(pool, "find", { id }),
  ]);
  const holdings = "value" in local ? [local, ...answers] : answers;
  const absent = "value" in local ? missing : [local, ...missing];
  const exact = holdings.flatMap(({ node, value }) => value.exact.map((found) => ({ node, found })));
  if (exact.length > 0) return { owners: exact, missing: absent };
  const byPrefix = options.prefix ? holdings.flatMap(({ node, value }) => value.prefix.map((found) => ({ node, found }))) : [];
  if (byPrefix.length > 1) {
    throw new AppError("AMBIGUOUS_ID", {
      details: { candidates: byPrefix.map(({ node, found }) => ({ node, id: found.id, name: found.name })) },
    });
  }
  if (byPrefix.length === 1) return { owners: byPrefix, missing: absent };
  if (absent.length > 0) {
    const names = absent.map(({ node }) => node);
    throw new AppError("NODES_MISSING", {
      message: `No container ${id} on the nodes that answer; ${names.join(", ")} can't be asked`,
      details: { id, missing: absent },
    });
  }
  throw new AppError("CONTAINER_NOT_FOUND", { message: `No such container: ${id}`, details: { id } });
}
