import { z } from "zod";
import { startCluster, type TestCluster } from "../../support/cluster";
import { importRunner } from "../../support/images";
import { type Answer, ask, type RequestOptions } from "../../support/server";

let cluster: TestCluster;
// biome-ignore lint/suspicious/noExplicitAny: a document of many shapes
let document: any;

beforeAll(async () => {
  cluster = await startCluster({ size: 2 });
  for (const { engine } of cluster.nodes) await importRunner(engine);
  document = (await ask(cluster.nodes[0]?.server.url ?? "", "GET", "/openapi.json")).json;
});

afterAll(() => cluster?.stop());

/** Zod finds named schemas as `$defs` of the schema itself. */
function toZod(schema: object): z.ZodType {
  const whole = JSON.stringify({ ...schema, $defs: document.components.schemas });
  return z.fromJSONSchema(JSON.parse(whole.replaceAll("#/components/schemas/", "#/$defs/")));
}

/** Sends each request to the next node in turn and checks the response against the document. */
let requestCount = 0;
async function documented(method: string, pathname: string, template: string, options: RequestOptions = {}): Promise<Answer> {
  const answer = await ask(cluster.nodes[requestCount++ % 2]?.server.url ?? "", method, pathname, options);
  const { parameters, responses } = document.paths[template][method.toLowerCase()];
  const declared = responses[answer.status];
  const sentNames = [...new URL(pathname, "http://any").searchParams.keys(), ...Object.keys(options.headers ?? {})].filter(
    (name) => !["Accept", "Range"].includes(name),
  );
  expect(parameters.map(({ name }: { name: string }) => name)).toEqual(expect.arrayContaining(sentNames));
  const ownHeaders = [...answer.headers.keys()].filter((name) =>
    /^(x-(request|cluster|error|volume|image)|docker-|location|content-range)/.test(name),
  );
  expect(Object.keys(declared.headers).map((name) => name.toLowerCase())).toEqual(expect.arrayContaining(ownHeaders));
  const type = answer.headers.get("content-type")?.split(";")[0] ?? "";
  if (answer.text !== "") expect(Object.keys(declared.content)).toContain(type);
  if (type === "application/json") expect(toZod(declared.content?.[type]?.schema ?? {}).safeParse(answer.json).error).toBeUndefined();
  return answer;
}

const sleeping = { image: "busybox", data: "sleep 600", detach: true };

test("responses of the root verbs in a cluster match the OpenAPI document", async () => {
  const keyed = { headers: { "Idempotency-Key": "one" } };
  await documented("PUT", "/", "/", { json: { ...sleeping, name: "documented" } });
  expect((await documented("PUT", "/?explain=true", "/", { json: { image: "busybox", data: "true" } })).json).toHaveProperty("placement");
  await documented("PUT", "/", "/", { json: { ...sleeping, remove: true, restart: "always" }, ...keyed });
  expect((await documented("PUT", "/", "/", { json: { ...sleeping, remove: true, restart: "always" }, ...keyed })).json.repeated).toBe(
    true,
  );
  expect((await documented("GET", "/", "/")).json.length).toBeGreaterThan(2);
  expect((await documented("GET", "/", "/", { anonymous: true })).json.name).toBe("docker-server");
  expect((await documented("GET", "/documented", "/{id}")).json).toHaveLength(1);
  await documented("GET", "/documented", "/{id}", { headers: { Accept: "text/plain" } });
  await documented("POST", "/documented", "/{id}", { json: { data: "true" } });
  await documented("DELETE", "/documented", "/{id}");
});

test("responses of the resource and run routes match the OpenAPI document", async () => {
  const { json } = await documented("POST", "/containers?explain=true", "/containers", { json: { image: "busybox" } });
  await documented("GET", `/containers/${json.cuid}/download?path=/etc/passwd`, "/containers/{id}/download", {
    headers: { Range: "bytes=0-1" },
  });
  await documented("GET", `/containers/${json.cuid}/download?path=/etc/passwd`, "/containers/{id}/download", {
    headers: { Range: "bytes=9999-" },
  });
  await documented("GET", `/ws/${json.cuid}`, "/ws/{id}");
  for (const path of ["/containers", "/images", "/volumes", "/nodes", "/version", "/healthz"]) await documented("GET", path, path);
  const run = { image: "busybox", command: "true", pull_policy: "never" };
  expect((await documented("POST", "/run?explain=true", "/run", { json: run })).json).toHaveProperty("placement");
  await documented("POST", "/run", "/run", { json: run, headers: { Accept: "application/x-ndjson" } });
  await documented("POST", "/run", "/run", { json: { image: "code-runner", payload: { script: "" } } });
  await documented("POST", "/volume?explain=true", "/volume", { json: { name: "documented" } });
  await documented("POST", "/mcp", "/mcp", { json: { jsonrpc: "2.0", id: 1, method: "nothing" } });
});
