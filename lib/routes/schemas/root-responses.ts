import { z } from "zod";
import { outputSchema, type Responses } from "./common";

const container = z.object({
  id: z.string(),
  name: z.string(),
  image: z.string(),
  command: z.string(),
  created: z.iso.datetime(),
  state: z.string().describe("created, running, paused, restarting, removing, exited or dead"),
  status: z.string().describe("for people, such as Up 3 minutes"),
  ports: z.array(z.object({ host_ip: z.string().optional(), host: z.number().optional(), container: z.number(), protocol: z.string() })),
  labels: z.record(z.string(), z.string()),
  host: z.string().describe("the node that holds it"),
});

const containerRef = { id: z.string(), name: z.string(), host: z.string().describe("the node") };
const started = z.object({ ...containerRef, status: z.string(), warnings: z.array(z.string()).optional() });
const serviceInfo = z.object({ name: z.string(), version: z.string(), description: z.string() });

export const pull: Responses = {
  200: { description: "Pulled", headers: { "Docker-Content-Digest": "Digest of the manifest", "X-Image-Id": "Id of the image" } },
  202: { description: "Still pulling; the same request again joins", headers: { "X-Pull-Status": "pulling" } },
};

export const list: Responses = {
  200: {
    description: "All containers, running or not",
    schema: z.union([z.array(container), serviceInfo.describe("To those without credentials: what this service is")]),
  },
};

export const logs: Responses = {
  200: {
    description: "The log; as text/plain if that is asked for or followed",
    schema: z.object({ ...containerRef, ...outputSchema }),
    contentType: "text/plain",
  },
};

export const run: Responses = {
  200: {
    description: "Started (detach), or ended",
    schema: started.extend({
      exit_code: z.number().optional().describe("present with the output if it was waited for"),
      ...z.object(outputSchema).partial().shape,
      repeated: z.literal(true).optional().describe("present if the same Idempotency-Key had made it before"),
    }),
  },
  202: { description: "Still running, or its image still being pulled; it goes on", schema: started.partial({ id: true }) },
};

const executed = z.object({
  ...containerRef,
  exec_id: z.string(),
  exit_code: z.number().nullable(),
  running: z.boolean(),
  ...outputSchema,
  warnings: z.array(z.string()).optional(),
});

export const exec: Responses = {
  200: { description: "The command has ended", schema: executed },
  202: { description: "It still runs", schema: executed },
};

export const remove: Responses = { 200: { description: "Removed", schema: z.object({ ...containerRef, removed: z.literal(true) }) } };
