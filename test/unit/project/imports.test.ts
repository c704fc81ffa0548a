import path from "node:path";
import ts from "typescript";
import { programFiles, sourceOf } from "../../support/unit/sources";

/** What files may import from this project, by the beginning of their path; the first row that matches counts. */
const ALLOWED: [prefix: string, imports: string[]][] = [
  ["bin/", ["bin/compile-cache", "bin/process-title", "bin/small-heap", "config/", "lib/app", "lib/commands/", "lib/support/"]],
  ["config/", ["config/", "lib/support/narrow-token", "lib/support/nearest", "lib/support/settings-error", "package.json"]],
  ["lib/app.ts", ["config/", "lib/", "package.json"]],
  ["lib/host-facts.ts", ["lib/cluster/cluster", "lib/docker/", "lib/managed/", "lib/runs/"]],
  ["lib/shutdown.ts", ["lib/cluster/cluster", "lib/http/", "lib/proxy/", "lib/server/", "lib/support/"]],
  ["lib/errors.ts", []],
  ["lib/support/", ["lib/support/", "lib/errors"]],
  ["lib/access/", ["lib/access/", "lib/errors", "lib/support/byte-sizes", "lib/support/narrow-token", "lib/support/plain-address"]],
  [
    "lib/commands/check",
    [
      "lib/commands/check-listeners",
      "lib/auth/credentials",
      "lib/cluster/check-cluster",
      "lib/docker-api/listen-address",
      "lib/docker/",
      "lib/managed/compose",
      "lib/server/",
      "lib/support/",
    ],
  ],
  ["lib/console/", ["lib/console/"]],
  ["lib/commands/", ["lib/commands/", "lib/access/", "lib/auth/", "lib/errors"]],
  ["lib/server/", ["lib/server/", "lib/errors", "lib/support/"]],
  ["lib/docker/", ["lib/docker/", "lib/access/", "lib/errors", "lib/support/"]],
  ["lib/cluster/", ["lib/cluster/", "lib/access/", "lib/errors", "lib/support/"]],
  ["lib/archive/", ["lib/archive/", "lib/errors", "lib/support/"]],
  ["lib/runs/", ["lib/runs/", "lib/access/", "lib/archive/", "lib/docker/", "lib/errors", "lib/support/"]],
  ["lib/managed/", ["lib/managed/", "lib/access/", "lib/archive/tar-write", "lib/docker/", "lib/errors", "lib/support/"]],
  ["lib/files/", ["lib/files/", "lib/archive/", "lib/docker/", "lib/errors", "lib/support/"]],
  ["lib/http/", ["lib/http/", "lib/access/", "lib/server/", "lib/cluster/", "lib/errors", "lib/support/"]],
  ["lib/openapi/", ["lib/openapi/", "lib/access/", "lib/http/input", "lib/http/route", "lib/cluster/routing/where", "lib/errors"]],
  ["lib/auth/", ["lib/auth/", "lib/access/", "lib/http/", "lib/cluster/rpc/signatures", "lib/errors", "lib/support/"]],
  ["lib/terminal/", ["lib/terminal/", "lib/access/", "lib/docker/", "lib/http/", "lib/server/", "lib/errors", "lib/support/"]],
  [
    "lib/proxy/",
    ["lib/proxy/", "lib/access/", "lib/cluster/", "lib/docker/", "lib/auth/", "lib/http/", "lib/server/", "lib/errors", "lib/support/"],
  ],
  [
    "lib/docker-api/",
    [
      "lib/docker-api/",
      "lib/access/",
      "lib/archive/read-ahead",
      "lib/auth/cross-site",
      "lib/cluster/",
      "lib/docker/",
      "lib/http/",
      "lib/proxy/",
      "lib/server/",
      "lib/errors",
      "lib/support/",
    ],
  ],
  ["lib/mcp/", ["lib/mcp/", "lib/access/", "lib/archive/zip-write", "lib/http/", "lib/errors", "lib/support/"]],
  ["lib/docker-api/bodies/", ["lib/docker-api/bodies/", "lib/access/", "lib/docker/", "lib/http/input", "lib/errors", "lib/support/"]],
  // Routes about nodes use the cluster directly.
  ["lib/routes/nodes", ["lib/access/", "lib/cluster/", "lib/http/", "lib/errors", "lib/support/"]],
  [
    "lib/routes/",
    [
      "lib/routes/schemas/",
      "lib/access/",
      "lib/cluster/routing/where",
      "lib/cluster/scheduling/idempotency",
      "lib/console/",
      "lib/docker/",
      "lib/runs/",
      "lib/managed/",
      "lib/files/",
      "lib/archive/",
      "lib/auth/",
      "lib/http/",
      "lib/mcp/",
      "lib/openapi/",
      "lib/terminal/",
      "lib/errors",
      "lib/support/",
    ],
  ],
];

/** Packages that only files whose path begins so may import. */
const PACKAGE_USERS: Record<string, string[]> = {
  express: ["lib/http/", "lib/auth/", "lib/proxy/", "lib/docker-api/"],
  "express-rate-limit": ["lib/http/"],
  helmet: ["lib/http/"],
  cors: ["lib/http/"],
  qs: ["lib/http/"],
  ws: ["lib/cluster/", "lib/terminal/"],
  redis: ["lib/support/redis-connection"],
  "rate-limit-redis": ["lib/http/"],
  dockerode: ["lib/docker/"],
  "docker-cli-js": ["lib/docker/"],
  "tar-stream": ["lib/archive/", "lib/runs/", "lib/managed/", "lib/files/"],
  yauzl: ["lib/archive/"],
  yazl: ["lib/files/", "lib/archive/"],
  "@fastify/busboy": ["lib/files/"],
  "@modelcontextprotocol/sdk/server/index.js": ["lib/mcp/"],
  "@modelcontextprotocol/sdk/server/sse.js": ["lib/mcp/"],
  "@modelcontextprotocol/sdk/server/webStandardStreamableHttp.js": ["lib/mcp/"],
  "@modelcontextprotocol/sdk/types.js": ["lib/mcp/"],
  yargs: ["config/"],
  dotenv: ["config/"],
};

function importsOf(text: string): string[] {
  return ts.preProcessFile(text, true, true).importedFiles.map((each) => each.fileName);
}

function mayImport(file: string, target: string): boolean {
  if (!target.startsWith(".")) return PACKAGE_USERS[target]?.some((prefix) => file.startsWith(prefix)) ?? true;
  const resolved = path.posix.join(path.posix.dirname(file), target);
  const allowed = ALLOWED.find(([prefix]) => file.startsWith(prefix))?.[1] ?? [];
  return allowed.some((each) => (each.endsWith("/") ? resolved.startsWith(each) : resolved === each));
}

/** The imports of a file that ALLOWED and PACKAGE_USERS forbid. */
function forbiddenImports(file: string, text: string): string[] {
  return importsOf(text)
    .filter((target) => !mayImport(file, target))
    .map((target) => `${file} imports ${target}`);
}

/** Matches every way of reading environment variables. */
const READS_ENVIRONMENT =
  /\bprocess\s*(?:\.\s*|\[\s*["'`])env\b|\{[^}]*\benv\b[^}]*\}\s*(?:from\s*["'](?:node:)?process["']|=\s*process\b)/;

const files = programFiles();

test("the checked folders contain files", () => {
  for (const folder of [
    "bin/",
    "config/",
    "lib/support/",
    "lib/docker/",
    "lib/cluster/",
    "lib/runs/",
    "lib/managed/",
    "lib/http/",
    "lib/proxy/",
    "lib/routes/",
    "lib/routes/schemas/",
  ]) {
    expect(files.filter((file) => file.startsWith(folder))).not.toEqual([]);
  }
});

test("every folder imports only from the folders that it may depend on", () => {
  expect(files.flatMap((file) => forbiddenImports(file, sourceOf(file)))).toEqual([]);
});

test.each([
  ["config/x.ts", "../lib/errors"],
  ["lib/errors.ts", "./support/shell-words"],
  ["lib/support/x.ts", "../docker/engine"],
  ["lib/docker/x.ts", "../cluster/routing/where"],
  ["lib/docker/x.ts", "../http/route"],
  ["lib/docker/x.ts", "express"],
  ["lib/cluster/x.ts", "../docker/engine"],
  ["lib/cluster/x.ts", "../routes/root"],
  ["lib/cluster/x.ts", "express"],
  ["lib/runs/x.ts", "../cluster/routing/where"],
  ["lib/runs/x.ts", "../http/route"],
  ["lib/runs/x.ts", "dockerode"],
  ["lib/managed/x.ts", "../cluster/routing/where"],
  ["lib/managed/x.ts", "../http/route"],
  ["lib/managed/x.ts", "../runs/jobs/job"],
  ["lib/managed/x.ts", "dockerode"],
  ["lib/docker/x.ts", "../managed/compose"],
  ["lib/docker/x.ts", "../runs/jobs/job"],
  ["lib/docker/x.ts", "tar-stream"],
  ["lib/files/x.ts", "../runs/jobs/job"],
  ["lib/files/x.ts", "../http/route"],
  ["lib/files/x.ts", "dockerode"],
  ["lib/runs/x.ts", "yauzl"],
  ["lib/http/x.ts", "../docker/engine"],
  ["lib/http/x.ts", "../routes/root"],
  ["lib/routes/x.ts", "./root"],
  ["lib/routes/x.ts", "../app"],
  ["lib/routes/x.ts", "../cluster/routing/dispatch"],
  ["lib/routes/x.ts", "dockerode"],
  ["lib/routes/x.ts", "@modelcontextprotocol/sdk/server/index.js"],
  ["lib/proxy/x.ts", "../routes/proxy"],
  ["lib/proxy/x.ts", "dockerode"],
  ["lib/mcp/x.ts", "../cluster/routing/dispatch"],
  ["lib/mcp/x.ts", "../docker/engine"],
  ["lib/routes/schemas/x.ts", "../root"],
  ["lib/http/x.ts", "../../config/settings"],
  ["lib/http/x.ts", "../../test/support/server"],
  ["lib/app.ts", "../scripts/process"],
  ["bin/x.ts", "../lib/docker/docker-host"],
])("%s may not import %s, in any import syntax", (file, target) => {
  for (const text of [
    `import { a } from "${target}";`,
    `import type { A } from "${target}";`,
    `import "${target}";`,
    `export * from "${target}";`,
    `const a = await import("${target}");`,
    `const a = require("${target}");`,
  ]) {
    expect(forbiddenImports(file, text)).toEqual([`${file} imports ${target}`]);
  }
});

test("only config/load.ts reads the environment", () => {
  expect(files.filter((file) => READS_ENVIRONMENT.test(sourceOf(file)))).toEqual(["config/load.ts"]);
  for (const way of ["process.env.A", 'process["env"]', 'import { env } from "node:process"', "const { env } = process"]) {
    expect(way).toMatch(READS_ENVIRONMENT);
  }
});

/** The files that each file imports, types included. */
type ImportGraph = Map<string, string[]>;

function importGraph(sources: Map<string, string>): ImportGraph {
  const resolve = (file: string, target: string) => {
    const resolved = path.posix.join(path.posix.dirname(file), target);
    return [resolved, `${resolved}.ts`, `${resolved}/index.ts`].find((each) => sources.has(each));
  };
  return new Map(
    [...sources].map(([file, text]) => [
      file,
      importsOf(text)
        .filter((target) => target.startsWith("."))
        .flatMap((target) => resolve(file, target) ?? []),
    ]),
  );
}

/** One cycle for each import that closes one in a depth-first search, as `a -> b -> a`; none if there is no cycle. */
function importCycles(graph: ImportGraph): string[] {
  const cycles: string[] = [];
  const finished = new Set<string>();
  const visit = (file: string, trail: string[]) => {
    if (trail.includes(file)) return void cycles.push([...trail.slice(trail.indexOf(file)), file].join(" -> "));
    if (finished.has(file)) return;
    for (const target of graph.get(file) ?? []) visit(target, [...trail, file]);
    finished.add(file);
  };
  for (const file of graph.keys()) visit(file, []);
  return cycles;
}

test("no import cycles, types included", () => {
  const graph = importGraph(new Map(files.map((file) => [file, sourceOf(file)])));
  expect([...graph.values()].flat().length).toBeGreaterThan(files.length);
  expect(importCycles(graph)).toEqual([]);
});

test.each(['import type { A } from "./a";', 'export * from "./a";', 'type A = import("./a").A;', 'const a = require("./a");'])(
  "a cycle closed by %s is found",
  (closing) => {
    const sources = {
      "lib/a.ts": 'import { b } from "./x/b";',
      "lib/x/b.ts": 'import "../c";',
      "lib/c.ts": closing,
      "lib/d.ts": 'import "./c";',
    };
    expect(importCycles(importGraph(new Map(Object.entries(sources))))).toEqual(["lib/a.ts -> lib/x/b.ts -> lib/c.ts -> lib/a.ts"]);
  },
);
