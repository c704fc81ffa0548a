import { writeFileSync } from "node:fs";
import path from "node:path";
import type { Browser } from "playwright-core";
import { run } from "../../../scripts/process";
import { openPage, startBrowser } from "../../support/browser";
import { startServer, type TestServer } from "../../support/server";

interface Operation {
  operationId: string;
  summary: string;
  parameters: { name: string; in: string }[];
  // biome-ignore lint/suspicious/noExplicitAny: schemas have many shapes
  requestBody?: { content: Record<string, { schema: any; example?: object }> };
}

const METHODS = ["get", "head", "put", "post", "delete", "patch"] as const;
type Method = (typeof METHODS)[number];

let server: TestServer;
// biome-ignore lint/suspicious/noExplicitAny: a document of many shapes
let document: any;
let operations: { path: string; method: Method; operation: Operation }[];
beforeAll(async () => {
  // The documentation needs no engine.
  server = await startServer({ env: { DOCKER_HOST: "unix:///nonexistent/docker.sock" } });
  document = (await server.request("GET", "/openapi.json", { anonymous: true })).json;
  operations = Object.entries(document.paths).flatMap(([pathname, methods]) =>
    Object.entries(methods as Record<Method, Operation>).map(([method, operation]) => ({
      path: pathname,
      method: method as Method,
      operation,
    })),
  );
});
afterAll(() => server?.stop());

describe("the OpenAPI document", () => {
  test("is valid OpenAPI 3.1", async () => {
    const file = path.join(server.folder, "openapi.json");
    writeFileSync(file, JSON.stringify(document));
    const cli = path.resolve(__dirname, "../../../node_modules/.bin/validate-api");
    expect(await run(process.execPath, [cli, file])).toMatchObject({ code: 0, stdout: expect.stringContaining('"valid": true') });
    expect(document.openapi).toMatch(/^3\.1\./);
  });

  test("has no paths that differ only in parameter names, and declares every path parameter", () => {
    const shapes = Object.keys(document.paths).map((each) => each.replace(/\{\w+\}/g, "{}"));
    expect(new Set(shapes).size).toBe(shapes.length);
    for (const { path: pathname, operation } of operations) {
      const named = [...pathname.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
      expect(operation.parameters.filter((each) => each.in === "path").map((each) => each.name)).toEqual(named);
    }
  });

  test("gives every operation a unique id and a summary", () => {
    const ids = operations.map(({ operation }) => operation.operationId);
    expect(new Set(ids).size).toBe(ids.length);
    for (const { operation } of operations) expect(operation.summary).toMatch(/\w/);
  });

  test("contains the documented routes", () => {
    const found = operations.map(({ path: pathname, method }) => `${method.toUpperCase()} ${pathname}`);
    const resources = [
      "GET /containers",
      "POST /containers/run",
      "POST /containers/{id}/exec",
      "POST /images/pull",
      "DELETE /images/{image}",
    ];
    const verbs = ["HEAD /{id}", "GET /", "GET /{id}", "PUT /", "POST /{id}", "DELETE /{id}"];
    expect(found).toEqual(
      expect.arrayContaining([...verbs, ...resources, "GET /health", "GET /version", "GET /metrics", "GET /openapi.json"]),
    );
  });

  test("lists exactly the served methods: others are a 405", async () => {
    // A literal segment also matches a parameter: /containers/run is a /containers/{id}, too.
    const formOf = (template: string) => new RegExp(`^${template.replace(/\{\w+\}/g, "[^/]+")}$`);
    const methodsAt = (pathname: string) =>
      Object.entries(document.paths).flatMap(([template, methods]) =>
        formOf(template).test(pathname) ? Object.keys(methods as object) : [],
      );
    for (const pathname of Object.keys(document.paths)) {
      for (const method of METHODS) {
        // Express answers HEAD wherever there is a GET.
        if (method === "head") continue;
        const below = pathname.split("/").length > 2;
        const documented = method in document.paths[pathname] || (below && methodsAt(pathname).includes(method));
        const { status } = await server.request(method.toUpperCase(), pathname.replace(/\{\w+\}/g, "no-such"), {
          json: method === "get" ? undefined : {},
        });
        expect(`${method} ${pathname} ${status === 405 ? "refused" : "served"}`).toBe(
          `${method} ${pathname} ${documented ? "served" : "refused"}`,
        );
      }
    }
  });

  const BODIES = ["application/json", "application/x-www-form-urlencoded"];

  /** The types of a field; forms may add further spellings. */
  function typesOf(schema: { type?: string; anyOf?: { type?: string }[] }): string[] {
    return [schema, ...(schema.anyOf ?? [])].flatMap(({ type }) => type ?? []);
  }

  test.each<[string, string, string, string, string[]]>([
    ["put", "/", "image", "string", ["image"]],
    ["put", "/", "name", "string", ["image"]],
    ["put", "/", "remove", "boolean", ["image"]],
    ["put", "/", "detach", "boolean", ["image"]],
    ["put", "/", "ports", "object", ["image"]],
    ["put", "/", "volumes", "object", ["image"]],
    ["put", "/", "data", "string", ["image"]],
    ["put", "/", "data", "array", ["image"]],
    ["post", "/{id}", "data", "string", []],
    ["post", "/{id}", "data", "array", []],
    ["post", "/{id}", "tty", "boolean", []],
    ["post", "/{id}", "interactive", "boolean", []],
  ])("%s %s accepts the documented field %s as %s, in JSON and in a form", (method, pathname, field, type, required) => {
    const { content } = document.paths[pathname][method].requestBody;
    expect(Object.keys(content)).toEqual(BODIES);
    for (const { schema: reference } of Object.values<{ schema: { $ref: string } }>(content)) {
      const schema = document.components.schemas[path.basename(reference.$ref)];
      expect(typesOf(schema.properties[field] ?? {})).toContain(type);
      expect(schema.required).toEqual(required);
    }
  });

  test("declares how a form encodes a map: ports[1234]=6379", () => {
    const { encoding } = document.paths["/"].put.requestBody.content["application/x-www-form-urlencoded"];
    const deepObject = { style: "deepObject", explode: true };
    expect(encoding).toMatchObject({ ports: deepObject, volumes: deepObject, env: deepObject });
    expect(encoding).not.toHaveProperty("image");
  });
});

/** Statuses of operations that need no engine. */
const WITHOUT_ENGINE: Record<string, number> = { "post /tokens": 201, "post /tokens/check": 200, "patch /nodes/{name}": 404 };

test("every example body is accepted by the server", async () => {
  // /mcp answers in its own protocol.
  const checked = operations.filter((each) => each.operation.requestBody && !each.path.startsWith("/mcp"));
  for (const { path: pathname, method, operation } of checked) {
    const { example } = operation.requestBody?.content["application/json"] ?? {};
    // Bodies are validated before the engine is called.
    const { status } = await server.request(method.toUpperCase(), pathname.replace("{id}", "no-such"), { json: example });
    const operationName = `${method} ${pathname}`;
    expect([operationName, status]).toEqual([operationName, WITHOUT_ENGINE[operationName] ?? 503]);
  }
});

describe("the pages, in a browser", () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await startBrowser();
  });
  afterAll(() => browser?.close());

  test.each(["/docs", "/docs/", "/redoc", "/redoc/"])(
    "%s shows every operation, loads only from this server and violates no policy",
    async (pathname) => {
      const { page, requests, problems } = await openPage(browser, server.url + pathname);
      for (const { operation } of operations) {
        const seen = await page
          .getByText(operation.summary, { exact: true })
          // The menu has the summary too, hidden while its group is folded.
          .filter({ visible: true })
          .first()
          .waitFor({ state: "visible" })
          .then(
            () => "shown",
            async () => ({ not: operation.summary, problems, requests, page: await page.locator("body").textContent() }),
          );
        expect(seen).toBe("shown");
      }
      expect(problems).toEqual([]);
      expect(requests.length).toBeGreaterThan(2);
      // data: and blob: URLs cause no network request.
      const networkRequests = requests.filter((url) => !url.startsWith("data:") && !url.startsWith("blob:"));
      expect(networkRequests.filter((url) => new URL(url).origin !== server.url)).toEqual([]);
      await page.context().close();
    },
  );

  test("a request tried out on /docs gets its answer", async () => {
    const { page, problems } = await openPage(browser, `${server.url}/docs`);
    const operation = page.locator(".opblock", { hasText: "List all containers" });
    await operation.locator(".opblock-summary").click();
    await operation.getByRole("button", { name: "Try it out" }).click();
    await operation.getByRole("button", { name: "Execute" }).click();
    await operation.locator(".live-responses-table").getByText('"docker-server"').waitFor({ state: "visible" });
    expect(problems).toEqual([]);
    await page.context().close();
  });

  test.each(["constructor", "__proto__", "..%2fopenapi.ts", "toString"])("/docs/%s is a 404", async (file) => {
    expect((await server.request("GET", `/docs/${file}`)).status).toBe(404);
  });
});
