import { z } from "zod";
import type { Plan } from "../../cluster/routing/where";
import { map, matching, scalar, text } from "../../http/fields";
import type { AnswerDoc } from "../../http/route";
import { volumeName } from "./one-off-run";

/** The body of `POST /volume` (oneoff-docker-runner.md). */
export const volumeBody = z.object({
  name: volumeName,
  content: z.string({ error: "must be base64" }).nullish().describe("base64 of a gzipped tar"),
  driver: matching(/^[a-zA-Z0-9][\w./:-]{0,254}$/, "must be the name of a volume driver").default("local"),
  driver_opts: map(text, scalar).default({}),
  labels: map(matching(/^[^\0\s=]+$/, "must be a label's key"), scalar).default({}),
});

export const volumeParams = z.object({ name: volumeName });

/**
 * A volume needs no image; the node that has it already is to have it again.
 * @param body valid
 */
export function planVolume(body: object): Plan {
  const { name } = volumeBody.parse(body);
  return { name, body, needs: { image: "scratch", pull: "missing", ports: [], volumes: [name], memory: 0, cpus: 0, slot: false } };
}

type VolumeList = { volumes: { name: string; host: string }[] };

/** The lists of several nodes as one. */
export function mergeVolumeLists(lists: object[]): VolumeList {
  const volumes = (lists as VolumeList[]).flatMap((each) => each.volumes);
  const order = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);
  return { volumes: volumes.sort((a, b) => order(a.name, b.name) || order(a.host, b.host)) };
}

const info = { name: z.string(), driver: z.string(), labels: z.record(z.string(), z.string()), host: z.string().describe("the node") };
const listed = z.object({ ...info, created: z.string().optional() });

type Answers = Record<number, AnswerDoc>;

export const volumeCreateAnswers: Answers = {
  200: {
    description: "It is there, with its content",
    schema: z.object({ status: z.literal("success"), detail: z.literal("success") }),
    headers: { "X-Volume-Host": "The node that has it" },
  },
};
export const volumeListAnswers: Answers = {
  200: {
    description: "The volumes by name; of several nodes with whether that is all of them, and who is missing",
    schema: z.object({ volumes: z.array(listed), complete: z.boolean().optional(), missing: z.array(z.string()).optional() }),
  },
};
export const volumeReadAnswers: Answers = {
  200: {
    description: "The volume, its content in base64; as application/gzip the content alone",
    schema: z.object({ ...listed.shape, content: z.string() }),
    contentType: "application/gzip",
  },
};
export const volumeRemoveAnswers: Answers = {
  200: { description: "Removed", schema: z.object({ name: z.string(), removed: z.literal(true), host: info.host }) },
};
