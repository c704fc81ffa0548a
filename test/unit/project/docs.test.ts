import { existsSync } from "node:fs";
import path from "node:path";
import { parse } from "qs";
import { z } from "zod";
import { SETTINGS } from "../../../config/settings";
import { AppError, type ErrorCode, KINDS } from "../../../lib/errors";
import { readInput } from "../../../lib/http/input";
import type { Route } from "../../../lib/http/route";
import { TOOLS } from "../../../lib/mcp/tools/tools";
import { splitShellWords } from "../../../lib/support/shell-words";
import { declaredRoutes } from "../../support/unit/declared-routes";
import { anchorOf, blocksOf, headingsOf, linksOf, markdownPages, proseOf } from "../../support/unit/markdown";
import { filesIn, programFiles, ROOT, sourceOf } from "../../support/unit/sources";

const pages = markdownPages();
const inPages = (find: (text: string, file: string) => string[]) =>
  pages.flatMap(({ file, text }) => find(text, file).map((fault) => `${file}: ${fault}`));
const exists = (file: string) => existsSync(path.join(ROOT, file));
const anchorsOf = (file: string) => headingsOf(sourceOf(file)).map(anchorOf);

describe("links", () => {
  test("every relative link leads to a file, and its anchor to a heading", () => {
    const broken = inPages((text, file) =>
      linksOf(text).filter((target) => {
        if (/^[a-z]+:/.test(target)) return false;
        const [name = "", anchor] = target.split("#");
        const linked = name === "" ? file : path.posix.join(path.posix.dirname(file), name);
        return !exists(linked) || (anchor !== undefined && !anchorsOf(linked).includes(anchor));
      }),
    );
    expect(broken).toEqual([]);
  });

  test("every page below docs/ is reached from the README", () => {
    const reached = new Set(["README.md"]);
    for (const file of reached) {
      for (const target of linksOf(sourceOf(file))) {
        const name = path.posix.join(path.posix.dirname(file), target.split("#")[0] ?? "");
        if (name.endsWith(".md") && exists(name)) reached.add(name);
      }
    }
    expect(pages.map(({ file }) => file).filter((file) => !reached.has(file) && file !== "CHANGELOG.md")).toEqual([]);
  });

  test("every project file that a page names exists", () => {
    const named = /(?<![\w./-])((?:lib|test|scripts|config|docs|bench|bin|examples)\/[\w./*-]*)/g;
    const absent = inPages((text) =>
      [...text.matchAll(named)].map(([, name = ""]) => name.replace(/[.]$/, "")).filter((name) => !name.includes("*") && !exists(name)),
    );
    expect(absent).toEqual([]);
  });

  test("every function that a diagram calls exists in the code", () => {
    const code = programFiles().map(sourceOf).join("\n");
    const called = inPages((text) =>
      blocksOf(text, "mermaid").flatMap((block) => [...block.matchAll(/\b(\w+)\(/g)].map(([, name = ""]) => name)),
    );
    expect(called.length).toBeGreaterThan(10);
    expect(called.filter((each) => !new RegExp(`\\b${each.split(": ")[1]}\\b`).test(code))).toEqual([]);
  });

  test("every page and heading that a code comment cites exists", () => {
    const cited = /(docs\/[\w/-]+\.md)(?:, "([^"]+)")?/g;
    const faults = programFiles().flatMap((file) =>
      [...sourceOf(file).matchAll(cited)]
        .filter(([, page = "", heading]) => !exists(page) || (heading !== undefined && !headingsOf(sourceOf(page)).includes(heading)))
        .map(([citation]) => `${file}: ${citation}`),
    );
    expect(faults).toEqual([]);
  });
});

describe("reference tables", () => {
  const routes = declaredRoutes();

  /** Rows of the first table after a heading, as lists of cells. */
  function rowsAfter(text: string, heading: string): string[][] {
    const lines = text.slice(text.indexOf(heading)).split("\n");
    const table = lines.slice(lines.findIndex((line) => line.startsWith("|")));
    const rows = table.slice(
      2,
      table.findIndex((line) => !line.startsWith("|")),
    );
    return rows.map((row) => row.split(" | ").map((cell) => cell.replace(/^\| | \|$/g, "").replaceAll("`", "")));
  }

  test("the table of routes has each declared route and where it runs", () => {
    const PLACES: Record<Route["where"]["at"], string> = {
      here: "this node",
      bestNode: "the best node",
      owner: "the owner",
      owners: "every owner",
      volume: "the owner",
      node: "the named node",
      everyNode: "all nodes",
      everyOutcome: "all nodes",
    };
    const declared = routes.map((route) => `${route.method.toUpperCase()} ${route.path}: ${PLACES[route.where.at]}`);
    const written = rowsAfter(sourceOf("docs/api.md"), "## Routes").map(([method, where, place]) => `${method} ${where}: ${place}`);
    expect(declared.length).toBeGreaterThan(40);
    expect(written.sort()).toEqual([...declared, "any /proxy/:id/*path: the owner"].sort());
  });

  test("the table of errors has each kind and its status", () => {
    const written = rowsAfter(sourceOf("docs/api.md"), "<!-- kinds -->").map(([kind, status]) => [kind, Number(status)]);
    expect(Object.fromEntries(written)).toEqual(KINDS);
  });

  test("the table of error codes has each error of the catalogue and its status", () => {
    const declared = [...sourceOf("lib/errors.ts").matchAll(/^ {2}([A-Z_]+): \["/gm)].map(([, code = ""]) => code as ErrorCode);
    const written = rowsAfter(sourceOf("docs/errors.md"), "# Error codes").map(([code, status]) => [code, Number(status)]);
    expect(declared.length).toBeGreaterThan(50);
    expect(Object.fromEntries(written)).toEqual(Object.fromEntries(declared.map((code) => [code, new AppError(code).status])));
  });

  test("docs/mcp.md names every MCP tool", () => {
    const page = sourceOf("docs/mcp.md");
    expect(TOOLS.filter(({ name }) => !page.includes(`| \`${name}\` |`))).toEqual([]);
  });

  test("every setting that a page names exists", () => {
    const ELSEWHERE = ["--help", "--version", "--build-arg", "--group-add", "--flag"];
    const known = new Set([...Object.keys(SETTINGS).flatMap((name) => [`--${name}`, `--${name.replaceAll("_", "-")}`]), ...ELSEWHERE]);
    const unknown = inPages((text, file) =>
      // This page also names flags of docker run.
      file === "docs/root-verbs.md"
        ? []
        : [...proseOf(text).matchAll(/`(--[\w-]+)/g)].flatMap(([, flag = ""]) => flag).filter((flag) => !known.has(flag)),
    );
    expect(unknown.filter((each) => !each.includes("--log_lovel"))).toEqual([]);
  });
});

describe("curl examples", () => {
  const routes = declaredRoutes();
  const examples = pages.flatMap(({ file, text }) =>
    [...blocksOf(text, "sh"), ...blocksOf(text, "")]
      .flatMap(commandsIn)
      .filter((line) => line.startsWith("curl "))
      .map((line) => ({ file, line, title: line.split(/ -H |\n/)[0] as string })),
  );

  /** Splits a block into commands; a quoted argument may span several lines. */
  function commandsIn(block: string): string[] {
    const commands: string[] = [];
    let command = "";
    for (const line of block.split("\n")) {
      command += `${command === "" ? "" : "\n"}${line}`;
      if ((command.match(/'/g)?.length ?? 0) % 2 === 1) continue;
      commands.push(command);
      command = "";
    }
    return commands;
  }

  /** The request that a command line makes. */
  function requestOf(line: string) {
    const words = splitShellWords(line);
    const argumentOf = (flag: string) => words[words.indexOf(flag) + 1] as string;
    const has = (flag: string) => words.includes(flag);
    const sends = has("--data") || has("--data-binary") || has("--form");
    const method = has("-X") ? argumentOf("-X").toLowerCase() : has("--head") ? "head" : sends ? "post" : "get";
    const url = new URL(words.find((word) => word.startsWith("http://localhost:1717/")) as string);
    const isJson = words.includes("Content-Type: application/json");
    const data = has("--data") ? argumentOf("--data") : "";
    const body: unknown = isJson ? JSON.parse(data) : parse(data, { parseArrays: false, plainObjects: true, strictDepth: true, depth: 4 });
    return { method, url, body, authorized: words.some((word) => word.startsWith("Authorization: Bearer ")) };
  }

  function routeOf(method: string, pathname: string): { route: Route; params: Record<string, string> } | undefined {
    const wildcardRank = ({ path: pattern }: Route) => (pattern.startsWith("/*") ? 2 : pattern.startsWith("/:") ? 1 : 0);
    for (const route of routes.filter((each) => each.method === method).sort((a, b) => wildcardRank(a) - wildcardRank(b))) {
      const pattern = route.path
        .replace(/[.]/g, "\\.")
        .replace(/:(\w+)/g, "(?<$1>[^/]+)")
        .replace(/\*(\w+)/g, "(?<$1>.+)");
      const match = new RegExp(`^${pattern}$`).exec(pathname);
      if (match) return { route, params: { ...match.groups } };
    }
    return undefined;
  }

  test("most pages have examples", () => {
    expect(new Set(examples.map(({ file }) => file)).size).toBeGreaterThan(9);
  });

  test.each(examples)("$file: $title", ({ line }) => {
    const { method, url, body, authorized } = requestOf(line);
    // The rest of the path belongs to the container.
    if (/^\/proxy\/[^/]+\/./.test(url.pathname)) return;
    const found = routeOf(method, url.pathname);
    if (!found) throw new Error(`no route ${method} ${url.pathname}`);
    const { route, params } = found;
    expect(authorized || route.public === true).toBe(true);
    route.params?.strict().parse(params);
    const common = { node: z.string().optional(), explain: z.string().optional() };
    (route.query ?? z.object({})).extend(common).strict().parse(Object.fromEntries(url.searchParams));
    if (!route.streamedBodyTypes) readInput((route.body ?? z.object({})).strict(), body);
  });
});

test("no page names a document that is not in the project", () => {
  const documents = filesIn("docs").map((file) => path.posix.basename(file));
  const named = inPages((text) => [...text.matchAll(/(?<![\w/-])([\w-]+\.md)\b/g)].map(([, name = ""]) => name));
  const known = new Set([...documents, "README.md", "CONTRIBUTING.md", "CHANGELOG.md"]);
  expect(named.filter((each) => !known.has(each.split(": ")[1] as string))).toEqual([]);
});
