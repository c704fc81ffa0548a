import { encode } from "gpt-tokenizer/encoding/o200k_base";
import { z } from "zod";
import { Access } from "../../../lib/access/access";
import type { Caveats } from "../../../lib/access/caveats";
import { newClaim } from "../../../lib/access/token";
import { CONTAINER_TOOLS } from "../../../lib/mcp/tools/container-tools";
import type { ToolRoute } from "../../../lib/mcp/tools/declaration";
import { TOOLS, Tools } from "../../../lib/mcp/tools/tools";
import { proxyOperations } from "../../../lib/routes/proxy";
import { declaredRoutes } from "../../support/unit/declared-routes";

const apiRoutes = declaredRoutes();
const routes: ToolRoute[] = [...apiRoutes, ...proxyOperations];
const tools = new Tools(routes);
const routeAt = (place: string) => routes.find(({ method, path }) => `${method.toUpperCase()} ${path}` === place);
const narrow = (caveats: Caveats) => Access.of(newClaim({ ...caveats, expires: Math.floor(Date.now() / 1000) + 3600 }));

/** All keys of a JSON value, at any depth. */
function keysOf(value: unknown): string[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, part]) => [...(Array.isArray(value) ? [] : [key]), ...keysOf(part)]);
}

/** Names of the fields that a route's answers declare, in all alternatives. */
function declaredFields(place: string): string[] {
  const found = apiRoutes.find(({ method, path }) => `${method.toUpperCase()} ${path}` === place);
  const schemas = Object.values(found?.responses ?? {}).flatMap(({ schema }) => (schema ? [schema] : []));
  return schemas.flatMap((schema) => keysOf(z.toJSONSchema(schema, { unrepresentable: "any" })));
}

describe("tools/list", () => {
  test("costs a model at most 5,000 tokens with all schemas", () => {
    const list = tools.list(Access.full);
    expect(list.length).toBeGreaterThanOrEqual(15);
    expect(list.length).toBeLessThanOrEqual(18);
    expect(encode(JSON.stringify({ tools: list })).length).toBeLessThanOrEqual(5000);
  });

  test("has plain schemas: no unions and no patterns of names", () => {
    const keys = new Set(keysOf(tools.list(Access.full)));
    for (const key of ["anyOf", "oneOf", "allOf", "propertyNames", "$ref", "pattern"]) expect(keys).not.toContain(key);
  });

  test("run, volume and health have all arguments of their routes", () => {
    for (const [name, place] of Object.entries({ run: "POST /run", volume: "POST /volume", health: "GET /health" })) {
      const properties = tools.list(Access.full).find((each) => each.name === name)?.inputSchema.properties ?? {};
      const renamed: Record<string, string> = TOOLS.find((each) => each.name === name)?.renamed?.[""] ?? {};
      expect(
        Object.keys(properties)
          .map((argument) => renamed[argument] ?? argument)
          .sort(),
      ).toEqual([...Object.keys(routeAt(place)?.body?.shape ?? {}), "node"].sort());
    }
  });

  test.each(TOOLS.map((tool) => [tool.name, tool] as const))("%s names only arguments and answers that its routes have", (_name, tool) => {
    for (const [key, place] of Object.entries(tool.routes)) expect([key, routeAt(place)?.path]).toEqual([key, place.split(" ")[1]]);
    if (tool.toRequest) return;
    const found = Object.values(tool.routes).map((place) => routeAt(place) as ToolRoute);
    const names = found.flatMap(({ params, query, body }) => [params, query, body].flatMap((part) => Object.keys(part?.shape ?? {})));
    const renamed = Object.assign({}, ...Object.values(tool.renamed ?? {}));
    const passed = Object.keys(tool.arguments).filter((name) => name !== tool.choice);
    expect(passed.filter((name) => !names.includes(name) && !names.includes(renamed[name]))).toEqual([]);
    const answered = Object.values(tool.routes).flatMap(declaredFields);
    expect(Object.keys(tool.answer).filter((field) => !answered.includes(field))).toEqual([]);
  });

  test("has the tools, and of those the choices, that a narrow token permits", () => {
    const reader = narrow({ can: ["read"] });
    expect(tools.names(reader)).toEqual(["health", "list", "inspect"]);
    const choices = tools.list(reader).find(({ name }) => name === "inspect")?.inputSchema.properties as Record<
      string,
      { enum?: string[] }
    >;
    expect(choices.what?.enum).toEqual(["details", "stats", "processes"]);
    expect(tools.names(narrow({ can: ["files"] }))).toEqual(["health", "list_files", "read_file", "write_files"]);
    expect(tools.names(narrow({ can: ["proxy"] }))).toEqual(["health", "http_request"]);
    const confined = tools.list(narrow({ labels: { team: "a" } })).find(({ name }) => name === "remove")?.inputSchema.properties;
    expect((confined as Record<string, { enum?: string[] }>).what?.enum).toEqual(["container", "volume"]);
  });

  test("tells reading, removing and adding apart", () => {
    const hints = Object.fromEntries(tools.list(Access.full).map(({ name, annotations }) => [name, annotations]));
    expect(hints.logs).toEqual({ readOnlyHint: true });
    expect(hints.remove).toMatchObject({ readOnlyHint: false, destructiveHint: true });
    expect(hints.create_app).toEqual({ readOnlyHint: false, destructiveHint: false });
  });
});

describe("a call", () => {
  test.each<[string, object, object]>([
    ["logs", { id: "box" }, { method: "GET", path: "/box?tail=200" }],
    ["logs", { id: "box", tail: 5, node: "n2" }, { method: "GET", path: "/box?tail=5&node=n2" }],
    ["list", {}, { method: "GET", path: "/containers?all=true" }],
    ["list", { what: "images" }, { method: "GET", path: "/images" }],
    ["inspect", { id: "data", what: "volume" }, { method: "GET", path: "/volumes/data" }],
    ["remove", { what: "image", id: "host:5000/a/b:1" }, { method: "DELETE", path: "/images/host%3A5000/a/b%3A1" }],
    ["remove", { id: "box" }, { method: "DELETE", path: "/containers/box" }],
    ["remove", { what: "unused_images" }, { method: "POST", path: "/images/prune" }],
    ["control", { id: "box", action: "stop", timeout: 3 }, { method: "POST", path: "/containers/box/stop?timeout=3" }],
    ["control", { id: "box", action: "rename", name: "new" }, { path: "/containers/box/rename", body: { name: "new" } }],
    ["update_app", { id: "app", env: { A: null } }, { method: "PATCH", path: "/containers/app", body: { env: { A: null } } }],
    ["update_app", { id: "app", ports: [] }, { method: "PATCH", path: "/containers/app", body: { ports: [] } }],
    ["http_request", { id: "app" }, { method: "GET", path: "/proxy/app/" }],
    ["http_request", { id: "app", path: "/a%20b?c=d", port: 80 }, { method: "GET", path: "/proxy/app/a%20b?c=d&port=80" }],
    ["http_request", { id: "app", method: "POST", body: "{}" }, { method: "POST", body: Buffer.from("{}") }],
    [
      "read_file",
      { id: "app", path: "a b.txt", offset: 7 },
      { path: "/containers/app/download?path=a+b.txt", headers: { Range: "bytes=7-100006" } },
    ],
    [
      "run_container",
      { image: "busybox", command: ["a"] },
      { method: "PUT", path: "/", body: { image: "busybox", command: ["a"], detach: true } },
    ],
  ])("%s %j becomes a request", async (name, args, request) => {
    expect(await tools.toRequest(name, { ...args })).toMatchObject(request);
  });

  test.each<[string, unknown, unknown]>([
    ["a list as JSON text", '["sh","-c","echo hello"]', ["sh", "-c", "echo hello"]],
    ["words", "echo hello", "echo hello"],
    ["the command [", "[ -f /x ]", "[ -f /x ]"],
  ])("reads a command that is %s", async (_what, given, command) => {
    for (const tool of ["exec", "run"])
      expect(await tools.toRequest(tool, { ...(tool === "run" ? { image: "busybox" } : { id: "box" }), command: given })).toMatchObject({
        body: { command },
      });
  });

  test("reads a map that came as JSON text", async () => {
    expect(await tools.toRequest("run", { image: "busybox", env_vars: '{"A":"b"}' })).toMatchObject({ body: { env: { A: "b" } } });
  });

  test.each<[string, object, string]>([
    ["exec", { id: "box" }, "command is required"],
    ["exec", { id: "box", command: ["a"], shell: true }, "shell is not known here; known are id, command, workdir, env, node"],
    ["control", { id: "box", action: "kill" }, "action of control must be one of start, stop, restart"],
    ["logs", { id: "nodes" }, "nodes is a word of this API"],
    ["inspect", { id: "../nodes" }, "id must be the name or id"],
    ["http_request", { id: "..", path: "/x" }, "id must be the name or id"],
    ["http_request", { id: "app", path: "x" }, "path must be a path"],
    ["http_request", { id: "app", path: "/ HTTP/1.1\r\nHost: x" }, "path must be a path"],
    ["read_file", { id: "app", path: "a", offset: -1 }, "offset must be a whole number"],
    ["write_files", { id: "app" }, "files or zip is needed"],
    ["write_files", { id: "app", files: { a: "b" }, zip: "" }, "files or zip is needed"],
    ["write_files", { id: "app", files: { "../a": "b" } }, "files must be named by relative paths"],
    ["write_files", { id: "app", zip: "%" }, "zip must be base64"],
  ])("%s %j is refused: %s", async (name, args, message) => {
    await expect(tools.toRequest(name, { ...args })).rejects.toThrow(message);
  });

  test("of a tool that doesn't exist is no request", async () => {
    expect(await tools.toRequest("no-such", {})).toBeUndefined();
    expect(await tools.toRequest("constructor", {})).toBeUndefined();
  });

  test("without the routes of a cluster there are no nodes to list", () => {
    const alone = new Tools(routes.filter(({ path }) => !path.startsWith("/nodes")));
    const what = alone.list(Access.full).find(({ name }) => name === "list")?.inputSchema.properties as Record<string, { enum?: string[] }>;
    expect(what.what?.enum).toEqual(["containers", "images", "volumes"]);
    expect(CONTAINER_TOOLS.find(({ name }) => name === "list")?.routes).toHaveProperty("nodes");
  });
});

describe("read_file", () => {
  const part = (body: Buffer, start: number, size: number) =>
    tools.toAnswer(
      "read_file",
      { status: 206, headers: { "content-range": `bytes ${start}-${start + body.length - 1}/${size}` }, body, truncated: false },
      { path: "f", offset: start },
    );
  const euro = Buffer.from("€€€€");

  test("answers whole characters, and where the next part begins", () => {
    expect(part(euro.subarray(0, 7), 0, 12)).toEqual({ path: "f", content: "€€", encoding: "utf8", offset: 0, size: 12, next_offset: 6 });
    expect(part(euro.subarray(6), 6, 12)).toEqual({ path: "f", content: "€€", encoding: "utf8", offset: 6, size: 12 });
    expect(part(euro.subarray(7), 7, 12)).toEqual({ path: "f", content: "€", encoding: "utf8", offset: 9, size: 12 });
  });

  test("answers other bytes in base64", () => {
    expect(part(Buffer.from([255, 254]), 0, 2)).toEqual({ path: "f", content: "//4=", encoding: "base64", offset: 0, size: 2 });
  });

  test("answers an empty file, and leaves errors as they are", () => {
    const answer = (status: number) =>
      tools.toAnswer("read_file", { status, headers: {}, body: Buffer.from("{}"), truncated: false }, { path: "f" });
    expect(answer(416)).toMatchObject({ content: "", size: 0 });
    expect(answer(404)).toBeUndefined();
  });
});
