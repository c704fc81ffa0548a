import { nearestName, nearestRoute } from "../../../lib/support/nearest";

describe("nearest", () => {
  test.each([
    ["imgae", "image"],
    ["IMAGE", "image"],
    ["x", undefined],
    ["", undefined],
    ["volume", "volumes"],
  ])("to the name %j is %j", (given, expected) => {
    expect(nearestName(given, ["image", "volumes", "name"])).toBe(expected);
  });

  const routes = [
    { method: "get", path: "/:id" },
    { method: "head", path: "/*image" },
    { method: "get", path: "/containers/:id" },
    { method: "delete", path: "/containers/:id" },
    { method: "post", path: "/containers/:id/restart" },
    { method: "get", path: "/containers/:id/logs" },
    { method: "get", path: "/volumes/:name" },
    { method: "get", path: "/logs/search" },
    { method: "post", path: "/images/prune" },
    { method: "get", path: "/ws/:id" },
    { method: "get", path: "/docs" },
    { method: "get", path: "/docs/:page" },
    { method: "get", path: "/containers" },
    { method: "post", path: "/containers" },
    { method: "post", path: "/containers/:id/unpause" },
    { method: "post", path: "/volume" },
    { method: "post", path: "/mcp" },
    { method: "get", path: "/openapi.json" },
  ];
  test.each([
    ["GET", "/container/web", "GET /containers/web"],
    ["DELETE", "/container/web", "DELETE /containers/web"],
    ["PATCH", "/container/web", "GET /containers/web"],
    ["POST", "/containers/web/restrat", "POST /containers/web/restart"],
    ["POST", "/web/restart", "POST /containers/web/restart"],
    ["POST", "/w2/restart", "POST /containers/w2/restart"],
    ["GET", "/w2/logs", "GET /containers/w2/logs"],
    ["GET", "/wz/web", "GET /ws/web"],
    ["GET", "/logs", "GET /logs/search"],
    ["POST", "/prune", "POST /images/prune"],
    ["GET", "/doc", "GET /docs"],
    ["GET", "/logs/web", "GET /containers/web/logs"],
    ["POST", "/containers/web/resume", "POST /containers/web/unpause"],
    ["POST", "/system/prune", "POST /images/prune"],
    ["GET", "/openapi", "GET /openapi.json"],
    ["GET", "/swagger", "GET /docs"],
    ["GET", "/swagger.json", "GET /openapi.json"],
    ["GET", "/sse", "POST /mcp"],
    ["GET", "/ps", "GET /containers"],
    ["GET", "/containers/json", "GET /v1.41/containers/json"],
    ["GET", "/events", "GET /v1.41/events"],
    ["DELETE", "/containers/json", "DELETE /containers/json"],
    ["GET", "/help", "GET /docs"],
    ["GET", "/mcp/sse", "POST /mcp"],
    ["POST", "/volume/prune", "POST /v1.41/volumes/prune"],
    ["POST", "/containers/prune", "POST /v1.41/containers/prune"],
    ["GET", "/a/b", undefined],
    ["GET", "/container/", undefined],
  ])("to the request %s %s is %j", (method, pathname, expected) => {
    expect(nearestRoute({ method, path: pathname }, routes)).toBe(expected);
  });

  test.each([
    ["POST", "/nodes/n2/drain", "PATCH /nodes/n2"],
    ["PATCH", "/containers/web/env", "PATCH /containers/web"],
    ["GET", "/containers/web/files/index.html", "GET /containers/web/download"],
  ])("to the request %s %s, for a part of what a route changes or sends, is %j", (method, pathname, expected) => {
    const parts = [
      { method: "get", path: "/nodes/:name" },
      { method: "patch", path: "/nodes/:name" },
      { method: "patch", path: "/containers/:id" },
      { method: "get", path: "/containers/:id/download" },
    ];
    expect(nearestRoute({ method, path: pathname }, [...routes, ...parts])).toBe(expected);
  });

  test.each([
    ["/containers/create", "POST /containers"],
    ["/volumes", "POST /volume"],
    ["/volumes/create", "POST /volume"],
    ["/containers/web", undefined],
    ["/containers/restart", "POST /containers/:id/restart"],
    ["/volumes/prune", "POST /v1.41/volumes/prune"],
  ])("to POST %s among the routes with that method is %j", (pathname, expected) => {
    const posts = routes.filter(({ method }) => method === "post");
    expect(nearestRoute({ method: "POST", path: pathname }, posts)).toBe(expected);
  });
});
