import { z } from "zod";
import type { Plan } from "../../cluster/routing/where";
import { map, matching, scalar, text } from "../../http/fields";
import { readInput } from "../../http/input";
import { type Responses, volumeName } from "./common";
import { labels } from "./run-fields";

/** The body of `POST /volume` (docs/runs.md, "Volumes"). */
export const volumeBody = z.object({
  name: volumeName,
  content: z.string({ error: "must be base64" }).nullish().describe("base64 of a gzipped tar"),
  driver: matching(/^[a-zA-Z0-9][\w./:-]{0,254}$/, "must be the name of a volume driver").default("local"),
  driver_opts: map(text, scalar).default({}),
  labels: labels.default({}),
});

/** Path parameters of routes about one volume. */
export const volumeParams = z.object({ name: volumeName });

/**
 * Derives the placement plan of a volume: it needs no image, and prefers a node that already has the volume.
 * @param body a valid `volumeBody`, unparsed
 */
export function planVolume(body: object): Plan {
  const { name } = readInput(volumeBody, body);
  return { name, body, needs: { image: "scratch", pull: "missing", ports: [], volumes: [name], memory: 0, cpus: 0, slot: false } };
}

type VolumeList = { volumes: { name: string; host: string }[] };

/** Merges the volume lists of several nodes, by name and node. */
export function mergeVolumeLists(lists: object[]): VolumeList {
  const volumes = (lists as VolumeList[]).flatMap((each) => each.volumes);
  const compare = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);
  return { volumes: volumes.sort((a, b) => compare(a.name, b.name) || compare(a.host, b.host)) };
}

const info = { name: z.string(), driver: z.string(), labels: z.record(z.string(), z.string()), host: z.string().describe("the node") };
const listed = z.object({ ...info, created: z.string().optional() });

export const volumeCreateResponses: Responses = {
  200: {
    description: "It is there, with its content",
    schema: z.object({ status: z.literal("success"), detail: z.literal("success") }),
    headers: { "X-Volume-Host": "The node that has it" },
  },
};
export const volumeListResponses: Responses = {
  200: {
    description: "The volumes by name; of several nodes with whether that is all of them, and who is missing",
    schema: z.object({ volumes: z.array(listed), complete: z.boolean().optional(), missing: z.array(z.string()).optional() }),
  },
};
export const volumeReadResponses: Responses = {
  200: {
    description: "The volume, its content in base64; as application/gzip the content alone",
    schema: z.object({ ...listed.shape, content: z.string() }),
    contentType: "application/gzip",
  },
};
export const volumeRemoveResponses: Responses = {
  200: { description: "Removed", schema: z.object({ name: z.string(), removed: z.literal(true), host: info.host }) },
};
