import { readFile } from "node:fs/promises";
import path from "node:path";
import { z } from "zod";
import { here } from "../cluster/routing/where";
import { AppError } from "../errors";
import { Reply, type Route, route } from "../http/route";

interface PackageFile {
  from: string;
  type: string;
  /** An address elsewhere that the file would have the browser ask; an empty picture takes its place. */
  asks?: string;
}

/** Files of the installed packages, by the name under which a page asks for them. */
const FILES: Record<string, PackageFile> = {
  "swagger-ui.css": { from: "swagger-ui-dist/swagger-ui.css", type: "text/css" },
  "swagger-ui-bundle.js": { from: "swagger-ui-dist/swagger-ui-bundle.js", type: "text/javascript" },
  "favicon.png": { from: "swagger-ui-dist/favicon-32x32.png", type: "image/png" },
  "redoc.js": {
    from: "redoc/bundles/redoc.standalone.js",
    type: "text/javascript",
    asks: "https://cdn.redoc.ly/redoc/logo-mini.svg",
  },
};
const EMPTY_PICTURE = "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA=";

const SCRIPTS: Record<string, string> = {
  "docs.js": "SwaggerUIBundle({ url: '/openapi.json', dom_id: '#page', deepLinking: true });",
  "redoc-page.js": "Redoc.init('/openapi.json', { hideLogo: true }, document.getElementById('page'));",
};

/** Both libraries write style elements; nothing else comes from anywhere but this server. */
const POLICY =
  "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; worker-src blob:; base-uri 'none'; frame-ancestors 'none'";

const page = (title: string, head: string, scripts: string[]) => `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>${title}</title><meta name="viewport" content="width=device-width">
<link rel="icon" href="/docs/favicon.png"><style>body { margin: 0; }</style>${head}</head>
<body><div id="page"></div>${scripts.map((script) => `<script src="/docs/${script}"></script>`).join("")}</body></html>`;

/**
 * The OpenAPI document, and two pages that show it from installed packages alone.
 * @param openApi makes the document
 */
export function docsRoutes(openApi: () => object): Route[] {
  const html = (text: string) => new Reply(200, text, { "Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": POLICY });
  const shown = (pathname: string, summary: string, text: string) =>
    route({
      method: "get",
      path: pathname,
      where: here,
      burst: "none",
      public: true,
      summary,
      answers: { 200: { description: "The page", contentType: "text/html" } },
      handler: () => html(text),
    });

  const document = route({
    method: "get",
    path: "/openapi.json",
    where: here,
    burst: "none",
    public: true,
    summary: "This API as an OpenAPI 3.1 document",
    answers: { 200: { description: "The document", schema: z.record(z.string(), z.unknown()) } },
    handler: openApi,
  });

  const file = route({
    method: "get",
    path: "/docs/:file",
    where: here,
    burst: "none",
    public: true,
    summary: "A file of the documentation pages",
    params: z.object({ file: z.string() }),
    answers: { 200: { description: "The file", contentType: "text/javascript" } },
    async handler({ params }) {
      const script = Object.hasOwn(SCRIPTS, params.file) ? SCRIPTS[params.file] : undefined;
      if (script !== undefined) return new Reply(200, script, { "Content-Type": "text/javascript" });
      const entry = Object.hasOwn(FILES, params.file) ? FILES[params.file] : undefined;
      if (!entry) throw new AppError("ROUTE_NOT_FOUND", { message: "The documentation has no such file" });
      return new Reply(200, await readPackageFile(entry), {
        "Content-Type": entry.type,
        "Cache-Control": "public, max-age=3600",
      });
    },
  });

  return [
    document,
    shown(
      "/docs",
      "Swagger UI",
      page("docker-server API", '<link rel="stylesheet" href="/docs/swagger-ui.css">', ["swagger-ui-bundle.js", "docs.js"]),
    ),
    shown("/redoc", "ReDoc", page("docker-server API", "", ["redoc.js", "redoc-page.js"])),
    file,
  ];
}

async function readPackageFile({ from, asks }: PackageFile): Promise<Buffer | string> {
  const [folder = "", ...rest] = from.split("/");
  const file = path.join(path.dirname(require.resolve(`${folder}/package.json`)), ...rest);
  return asks ? (await readFile(file, "utf8")).replaceAll(asks, EMPTY_PICTURE) : readFile(file);
}
