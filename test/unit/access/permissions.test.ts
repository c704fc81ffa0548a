import { Access } from "../../../lib/access/access";
import { PERMISSIONS } from "../../../lib/access/permissions";
import { proxyOperations } from "../../../lib/routes/proxy";
import { accessOf } from "../../support/unit/access-parts";
import { declaredRoutes } from "../../support/unit/declared-routes";
import { sourceOf } from "../../support/unit/sources";

const routes = [...declaredRoutes(), ...proxyOperations.map((each) => ({ ...each, method: "any" }))];

/** The permission that the table of docs/api.md has for each route. */
function documentedPermissions(): Map<string, string> {
  const text = sourceOf("docs/api.md");
  const rows = text.slice(text.indexOf("## Routes")).matchAll(/^\| `?(\w+)`? \| `([^`]+)` \| [^|]+ \| `?(\w+)`? \|/gm);
  return new Map([...rows].map(([, method, path, permission = ""]) => [`${method} ${path}`, permission]));
}

describe("permissions of routes", () => {
  test("every route declares one, or that it needs none", () => {
    expect(routes.length).toBeGreaterThan(40);
    expect(routes.filter(({ permission }) => permission !== null && !PERMISSIONS.includes(permission))).toEqual([]);
  });

  test("only public routes and those that judge each request themselves need none", () => {
    const judging = ["POST /mcp", "GET /mcp", "POST /mcp/messages", "GET /whoami", "POST /tokens/check"];
    const open = routes.filter((route) => route.permission === null && !route.public);
    expect(open.map(({ method, path }) => `${method.toUpperCase()} ${path}`).filter((each) => !judging.includes(each))).toEqual([]);
  });

  test("of every route and every permission, a call is allowed exactly where the table in docs/api.md has the permission", () => {
    const documented = documentedPermissions();
    for (const route of routes) {
      const name = `${route.method === "any" ? "any" : route.method.toUpperCase()} ${route.path}`;
      const wanted = documented.get(name);
      expect(`${name} ${route.permission ?? "none"}`).toBe(`${name} ${wanted}`);
      const allowing = PERMISSIONS.filter((permission) => accessOf({ can: [permission] }).mayCall(route));
      expect([name, ...allowing]).toEqual([name, ...(wanted === "none" ? PERMISSIONS : [wanted])]);
      expect([name, accessOf({ can: [] }).mayCall(route)]).toEqual([name, wanted === "none"]);
      expect(Access.full.mayCall(route)).toBe(true);
    }
  });

  test("a token with labels may call only routes that say how they keep to them", () => {
    const refused = routes.filter((route) => !accessOf({ labels: { team: "a" } }).mayCall(route));
    expect(refused.map(({ method, path }) => `${method.toUpperCase()} ${path}`).sort()).toEqual(
      ["GET /audit", "DELETE /images/*image", "POST /images/prune", "PATCH /nodes/:name", "GET /metrics", "GET /nodes"].sort(),
    );
  });
});
