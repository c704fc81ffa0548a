import { type Access, refusedBy } from "../../access/access";
import { isReservedLabel } from "../../docker/containers/confinement";
import { invalidField } from "../../errors";

/**
 * The labels of what a client makes: its own, and those that confine its token, which come last. Empty values of reserved labels are
 * left out: they only undid those of an image, and come back from clients that copy what inspect says.
 * @param field for the error
 * @throws AppError INVALID_INPUT for labels of this server, REFUSED_BY_TOKEN for those of Compose from a confined token
 */
export function ownLabels(given: Record<string, string> | null | undefined, access: Access, field: string): Record<string, string> {
  const labels = Object.entries(given ?? {}).filter(([key, value]) => !isReservedLabel(key) || value !== "");
  for (const [key] of labels) {
    if (key.startsWith("docker-server.")) throw invalidField(`${field}.${key}`, "is a label of this server, which clients can't set");
    if (access.labels && isReservedLabel(key)) throw refusedBy("labels", `${key} is a label of Compose`, { field });
  }
  return { ...Object.fromEntries(labels), ...access.labels };
}
