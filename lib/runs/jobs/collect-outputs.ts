import type { Engine } from "../../docker/engine";
import { isNotFound } from "../../errors";
import { TooMuchContent } from "../volumes/content-out";
import type { Place } from "../volumes/run-volumes";
import { getContent } from "../volumes/volume-io";

/** What a run gives back of a path. */
export interface Returned {
  type: string;
  /** base64: a file's bytes, or a gzipped tar of a folder; null if it can't be had, and a warning says why */
  content: string | null;
}

/**
 * Reads what is asked back of a run that has ended. What can't be had is a warning: the run's output is not to be lost over it.
 * @param limit bytes that all of it may have
 * @param returned gets it, by path
 */
export async function collectOutputs(
  engine: Engine,
  id: string,
  places: readonly Place[],
  limit: number,
  returned: Record<string, Returned>,
  warnings: string[],
): Promise<void> {
  let left = limit;
  for (const { path, type, response } of places) {
    if (!response) continue;
    returned[path] = { type, content: null };
    try {
      const bytes = await getContent(engine, id, path, left);
      left -= Math.min(left, bytes.length);
      returned[path].content = bytes.toString("base64");
    } catch (error) {
      if (error instanceof TooMuchContent) warnings.push(`${path} is not given back: it holds more than ${limit} bytes`);
      else if (isNotFound(error)) warnings.push(`${path} is not given back: it is gone`);
      else throw error;
    }
  }
}
