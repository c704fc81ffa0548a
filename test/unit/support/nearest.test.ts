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
    ["GET", "/a/b", undefined],
    ["GET", "/container/", undefined],
  ])("to the request %s %s is %j", (method, pathname, expected) => {
    expect(nearestRoute({ method, path: pathname }, routes)).toBe(expected);
  });
});
