import { readFile } from "node:fs/promises";
import path from "node:path";

interface PackageFile {
  from: string;
  type: string;
  /** URL of an image that the file would load from another server; replaced by an empty image. */
  externalImage?: string;
}

/** Files of packages, which `scripts/build.js` copies, by their name below /docs. */
const PACKAGE_FILES: Record<string, PackageFile> = {
  "swagger-ui.css": { from: "swagger-ui.css", type: "text/css" },
  "swagger-ui-bundle.js": { from: "swagger-ui-bundle.js", type: "text/javascript" },
  "favicon.png": { from: "favicon-32x32.png", type: "image/png" },
  "redoc.js": {
    from: "redoc.standalone.js",
    type: "text/javascript",
    externalImage: "https://cdn.redoc.ly/redoc/logo-mini.svg",
  },
};
/** `__dirname` is that of the bundle, dist/bin. */
const FOLDER = path.join(__dirname, "../docs-pages");
const EMPTY_IMAGE = "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA=";

/** Scripts that start the viewers, by their name below /docs: separate files, because the policy forbids inline scripts. */
const SCRIPTS: Record<string, string> = {
  "docs.js": "SwaggerUIBundle({ url: '/openapi.json', dom_id: '#page', deepLinking: true });",
  "redoc-page.js": "Redoc.init('/openapi.json', { hideLogo: true }, document.getElementById('page'));",
};

/** Both viewers insert style elements; everything else comes from this server. */
export const DOCS_CONTENT_SECURITY_POLICY =
  "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; worker-src blob:; base-uri 'none'; frame-ancestors 'none'";

const htmlPage = (title: string, head: string, scripts: string[]) => `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>${title}</title><meta name="viewport" content="width=device-width">
<link rel="icon" href="/docs/favicon.png"><style>body { margin: 0; }</style>${head}</head>
<body><div id="page"></div>${scripts.map((script) => `<script src="/docs/${script}"></script>`).join("")}</body></html>`;

/** The page with Swagger UI. */
export const swaggerUiPage = htmlPage("docker-server API", '<link rel="stylesheet" href="/docs/swagger-ui.css">', [
  "swagger-ui-bundle.js",
  "docs.js",
]);

/** The page with ReDoc. */
export const redocPage = htmlPage("docker-server API", "", ["redoc.js", "redoc-page.js"]);

/**
 * Reads a script, style sheet or image of the documentation pages.
 * @param name its name below /docs
 * @returns undefined if there is no such file
 */
export async function readDocsFile(name: string): Promise<{ content: Buffer | string; type: string; cacheable: boolean } | undefined> {
  const script = Object.hasOwn(SCRIPTS, name) ? SCRIPTS[name] : undefined;
  if (script !== undefined) return { content: script, type: "text/javascript", cacheable: false };
  const file = Object.hasOwn(PACKAGE_FILES, name) ? PACKAGE_FILES[name] : undefined;
  return file && { content: await readPackageFile(file), type: file.type, cacheable: true };
}

async function readPackageFile({ from, externalImage }: PackageFile): Promise<Buffer | string> {
  const file = path.join(FOLDER, from);
  return externalImage ? (await readFile(file, "utf8")).replaceAll(externalImage, EMPTY_IMAGE) : readFile(file);
}
