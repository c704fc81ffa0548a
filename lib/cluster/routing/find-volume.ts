import { AppError } from "../../errors";
import { callPeers, type Pool } from "../pool";

/**
 * Finds the one node that has a volume.
 * @param name the volume's
 * @throws AppError VOLUME_NOT_FOUND; AMBIGUOUS_VOLUME with the nodes; NODES_MISSING if it is nowhere but not all nodes answer
 */
export async function findVolume(pool: Pool, name: string): Promise<string> {
  const [own, { answers, missing }] = await Promise.all([
    pool.host.holdsVolume(name).then(
      (held) => ({ held }),
      (error: Error) => ({ reason: error.message }),
    ),
    callPeers(pool, "volume", { name }),
  ]);
  const holders = answers.filter(({ value }) => value.held).map(({ node }) => node);
  if ("held" in own && own.held) holders.unshift(pool.self);
  if (holders.length > 1) throw new AppError("AMBIGUOUS_VOLUME", { details: { candidates: holders } });
  if (holders[0] !== undefined) return holders[0];
  const absent = "held" in own ? missing : [{ node: pool.self, reason: own.reason }, ...missing];
  if (absent.length === 0) throw new AppError("VOLUME_NOT_FOUND", { message: `No such volume: ${name}`, details: { name } });
  throw new AppError("NODES_MISSING", {
    message: `No volume ${name} on the nodes that answer; ${absent.map(({ node }) => node).join(", ")} can't be asked`,
    details: { name, missing: absent },
  });
}
