import { readFile } from "node:fs/promises";
import path from "node:path";

/** The modules and the style sheets of the console, which `scripts/build.js` copies. `__dirname` is that of the bundle, dist/bin. */
const FOLDER = path.join(__dirname, "../console");

/** Names of files below /console/assets; no other name is looked up on the disk. */
export const CONSOLE_FILES: ReadonlySet<string> = new Set([
  "addon-fit.mjs",
  "api.js",
  "app.js",
  "code-page.js",
  "console.css",
  "container-page.js",
  "containers-page.js",
  "files-tab.js",
  "format.js",
  "hooks.mjs",
  "htm.mjs",
  "log-download.js",
  "log-merge.js",
  "log-reader.js",
  "log-source.js",
  "log-text.js",
  "log-window.js",
  "logs-page.js",
  "logs-view.js",
  "nodes-page.js",
  "other-nodes.js",
  "palette.js",
  "placement.js",
  "preact.mjs",
  "reconnect.js",
  "row-window.js",
  "run-form.js",
  "run-page.js",
  "search-page.js",
  "shell.js",
  "sign-in.js",
  "simple-pages.js",
  "stats-tab.js",
  "strings.js",
  "terminal-tab.js",
  "uPlot.esm.js",
  "uPlot.min.css",
  "view.js",
  "virtual-table.js",
  "xterm.css",
  "xterm.mjs",
  "zip.js",
]);

/** Everything comes from this server. The terminal inserts style elements; no style holds a text of a container. */
export const CONSOLE_CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "connect-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

export const CONSOLE_PAGE = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>docker-server</title><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,"><link rel="stylesheet" href="/console/assets/console.css"></head>
<body><div id="app"></div><script type="module" src="/console/assets/app.js"></script></body></html>`;

/**
 * Reads a file of the console.
 * @param name its name below /console/assets
 * @returns undefined if there is no such file
 */
export async function readConsoleFile(name: string): Promise<{ content: Buffer; type: string } | undefined> {
  if (!CONSOLE_FILES.has(name)) return undefined;
  return { content: await readFile(path.join(FOLDER, name)), type: name.endsWith(".css") ? "text/css" : "text/javascript" };
}
