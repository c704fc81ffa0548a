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
    { method: "get", path: "/volumes/:name" },
  ];
  test.each([
    ["GET", "/container/web", "GET /containers/web"],
    ["DELETE", "/container/web", "DELETE /containers/web"],
    ["PATCH", "/container/web", "GET /containers/web"],
    ["POST", "/containers/web/restrat", "POST /containers/web/restart"],
    ["POST", "/web/restart", "POST /containers/web/restart"],
    ["GET", "/a/b", undefined],
    ["GET", "/container/", undefined],
  ])("to the request %s %s is %j", (method, pathname, expected) => {
    expect(nearestRoute({ method, path: pathname }, routes)).toBe(expected);
  });
});
