import { z } from "zod";
import { here } from "../cluster/routing/where";
import { AppError } from "../errors";
import { Reply, type Route, route } from "../http/route";
import { DOCS_CONTENT_SECURITY_POLICY, readDocsFile, redocPage, swaggerUiPage } from "../openapi/docs-pages";

/**
 * The OpenAPI document and two pages that show it, without loading anything from other servers.
 * @param openApi makes the document
 */
export function docsRoutes(openApi: () => object): Route[] {
  const html = (text: string) =>
    new Reply(200, text, { "Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": DOCS_CONTENT_SECURITY_POLICY });
  const pageRoute = (pathname: string, summary: string, text: string) =>
    route({
      method: "get",
      path: pathname,
      where: here,
      burst: "none",
      permission: null,
      public: true,
      summary,
      responses: { 200: { description: "The page", contentType: "text/html" } },
      handler: () => html(text),
    });

  const document = route({
    method: "get",
    path: "/openapi.json",
    where: here,
    burst: "none",
    permission: null,
    public: true,
    summary: "This API as an OpenAPI 3.1 document",
    responses: { 200: { description: "The document", schema: z.record(z.string(), z.unknown()) } },
    handler: openApi,
  });

  const file = route({
    method: "get",
    path: "/docs/:file",
    where: here,
    burst: "none",
    permission: null,
    public: true,
    summary: "A file of the documentation pages",
    params: z.object({ file: z.string() }),
    responses: { 200: { description: "The file", contentType: "text/javascript" } },
    async handler({ params }) {
      const found = await readDocsFile(params.file);
      if (!found)
        throw new AppError("ROUTE_NOT_FOUND", { message: "The documentation has no such file; the API is described at /openapi.json" });
      const caching: Record<string, string> = found.cacheable ? { "Cache-Control": "public, max-age=3600" } : {};
      return new Reply(200, found.content, { "Content-Type": found.type, ...caching });
    },
  });

  return [document, pageRoute("/docs", "Swagger UI", swaggerUiPage), pageRoute("/redoc", "ReDoc", redocPage), file];
}
