import { z } from "zod";
import { here } from "../cluster/routing/where";
import { CONSOLE_CONTENT_SECURITY_POLICY, CONSOLE_PAGE, readConsoleFile } from "../console/console-files";
import { AppError } from "../errors";
import { Reply, type Route, route } from "../http/route";

const ASSETS = "assets/";

/** The console (docs/console.md): its page at each of its addresses, and the files that the page loads. */
export function consoleRoutes(): Route[] {
  const answerPage = () =>
    new Reply(200, CONSOLE_PAGE, {
      "Content-Type": "text/html; charset=utf-8",
      "Content-Security-Policy": CONSOLE_CONTENT_SECURITY_POLICY,
      "Cache-Control": "no-cache",
    });

  const start = route({
    method: "get",
    path: "/console",
    where: here,
    burst: "none",
    permission: null,
    public: true,
    summary: "The console, a page for browsers",
    responses: { 200: { description: "The page", contentType: "text/html" } },
    handler: answerPage,
  });

  const below = route({
    method: "get",
    path: "/console/*page",
    where: here,
    burst: "none",
    permission: null,
    public: true,
    summary: "The console at one of its addresses, or a file that it loads",
    params: z.object({ page: z.string().describe("An address within the console, or assets/ and the name of a file") }),
    // The page itself reads them.
    query: z.object({
      filter: z.string().optional().describe("Of the list of containers or the lines of logs"),
      containers: z.string().optional().describe("Whose logs are followed: names, with commas"),
      since: z.string().optional().describe("Of logs"),
      until: z.string().optional(),
      follow: z.string().optional(),
      level: z.string().optional().describe("Of lines"),
    }),
    responses: { 200: { description: "The page or the file", contentType: ["text/html", "text/javascript"] } },
    async handler({ params: { page } }) {
      if (!page.startsWith(ASSETS)) return answerPage();
      const file = await readConsoleFile(page.slice(ASSETS.length));
      if (!file) throw new AppError("ROUTE_NOT_FOUND", { message: "The console has no such file" });
      // The files of one version belong together: a browser asks again, so that it never mixes two.
      return new Reply(200, file.content, { "Content-Type": `${file.type}; charset=utf-8`, "Cache-Control": "no-cache" });
    },
  });

  return [start, below];
}
