import { readFileSync } from "node:fs";
import { Access } from "../../../lib/access/access";
import { newClaim } from "../../../lib/access/token";
import { matchRow, segmentsOf } from "../../../lib/docker-api/row";
import { DOCKER_ROWS } from "../../../lib/docker-api/rows";

const match = (target: string) => {
  const [method = "", path = ""] = target.split(" ");
  return matchRow(DOCKER_ROWS, method, path.split("/").slice(1).map(decodeURIComponent));
};

test("every row declares a permission, but for pings, versions and refusals", () => {
  const without = DOCKER_ROWS.filter(({ permission, where }) => permission === null && where.at !== "refused");
  expect(without.map(({ method, path }) => `${method} ${path}`)).toEqual(["GET /_ping", "HEAD /_ping", "GET /version"]);
});

test("docs/docker-api.md names the permission of each row", () => {
  const [, section = ""] = readFileSync("docs/docker-api.md", "utf8").split("## Narrow tokens");
  const table = [...section.matchAll(/^\| `?(\w+)`? \| (`.*`) \|$/gm)];
  const written = table.flatMap(([, permission, cell = ""]) =>
    [...cell.matchAll(/`(.+?)`/g)].map(([, target]) => `${target}: ${permission}`),
  );
  const answered = DOCKER_ROWS.filter(({ where }) => where.at !== "refused");
  const declared = answered.map(({ method, path, permission }) => `${method} ${path}: ${permission ?? "none"}`);
  expect(written.sort()).toEqual(declared.sort());
});

test("parameters that clients send, and engines ignore, are left out", () => {
  const ignored = (target: string) => match(target)?.row.ignored ?? [];
  expect(ignored("GET /containers/json")).toContain("trunc_cmd");
  expect(ignored("GET /images/json")).toContain("only_ids");
  expect(ignored("POST /images/busybox/tag")).toContain("force");
  expect(ignored("POST /containers/create")).toContain("Image");
  expect(ignored("POST /networks/create")).toEqual(expect.arrayContaining(["Name", "Driver", "Internal", "Labels"]));
  expect(ignored("POST /volumes/create")).toEqual(expect.arrayContaining(["Name", "Driver", "Labels"]));
  for (const { query, ignored = [] } of DOCKER_ROWS) expect(ignored.filter((name) => query.includes(name))).toEqual([]);
});

test.each([
  ["POST /swarm/init", /Swarm mode is not managed through this server/],
  ["POST /swarm/join", /Swarm mode is not managed through this server/],
  ["GET /swarm", /not a swarm manager/],
  ["GET /services", /not a swarm manager/],
])("%s is a 503 that says %s", (target, message) => {
  expect(match(target)?.row.where).toEqual({ at: "refused", status: 503, message: expect.stringMatching(message) });
});

test("a build takes several tags and several hosts", () => {
  expect(match("POST /build")?.row.repeatable).toEqual(["t", "extrahosts"]);
});

test("every body is left out, streamed, or judged", () => {
  const unjudged = DOCKER_ROWS.filter(({ body, judge }) => body === "json" && judge === undefined);
  expect(unjudged.map(({ path }) => path)).toEqual(["/containers/create", "/networks/create", "/volumes/create"]);
  const streamed = DOCKER_ROWS.filter(({ body }) => body === "stream").map(({ path }) => path);
  expect(streamed).toEqual(["/containers/:id/archive", "/images/create", "/images/load", "/auth", "/build"]);
});

test("a container is judged before it is started or entered", () => {
  const checked = (check: string) => DOCKER_ROWS.filter((row) => row.check === check).map(({ method, path }) => `${method} ${path}`);
  expect(checked("start")).toEqual(["POST /containers/:id/start", "POST /containers/:id/restart"]);
  expect(checked("entry").map((each) => each.split("/").slice(3).join("/"))).toEqual([
    "export",
    "attach",
    "attach/ws",
    "archive",
    "archive",
    "archive",
    "exec",
  ]);
});

test("the object of a path is found, names with slashes included", () => {
  expect(match("GET /containers/web/json")?.id).toBe("web");
  expect(match("GET /images/registry:5000/team/app:1/json")?.id).toBe("registry:5000/team/app:1");
  expect(match("POST /images/team/app/push")?.row.path).toBe("/images/*name/push");
  expect(match("GET /images/json")?.row.path).toBe("/images/json");
  expect(match("GET /images/get")?.row.path).toBe("/images/get");
});

test.each([
  "GET /containers/web",
  "POST /containers/web/json",
  "POST /containers/web/checkpoints",
  "GET /containers/a%2Fjson/json",
  "POST /containers/a%2Fb/start",
  "PUT /volumes/a",
  "GET /debug/pprof",
  "GET /images/a%2Fb%2Fjson/x",
])("%s has no row", (target) => expect(match(target)).toBeUndefined());

test("Swarm is 503, plugins and BuildKit are 501", () => {
  const status = (target: string) => {
    const where = match(target)?.row.where;
    return where?.at === "refused" ? where.status : undefined;
  };
  for (const target of ["GET /swarm", "POST /services/create", "GET /secrets/x", "DELETE /nodes/a"]) expect(status(target)).toBe(503);
  for (const target of ["POST /grpc", "POST /session", "POST /plugins/pull", "POST /plugins/a/enable"]) expect(status(target)).toBe(501);
  for (const target of ["POST /grpc", "POST /session"])
    expect(match(target)?.row.where).toMatchObject({ message: expect.stringContaining("build with DOCKER_BUILDKIT=0") });
});

test("a path is made of the row and the object", () => {
  const matched = match("GET /images/team/app/json");
  expect(matched && segmentsOf(matched.row, matched.id)).toEqual(["images", "team/app", "json"]);
});

test("a token with labels gets no row that is not confined to them", () => {
  const access = Access.of(newClaim({ labels: { team: "a" }, expires: 9_999_999_999 }));
  const refused = DOCKER_ROWS.filter((row) => row.where.at !== "refused" && !access.mayCall(row)).map(
    ({ method, path }) => `${method} ${path}`,
  );
  for (const row of [
    "POST /networks/:id/connect",
    "POST /containers/prune",
    "GET /events",
    "GET /info",
    "POST /commit",
    "POST /networks/prune",
  ])
    expect(refused).toContain(row);
  expect(refused).not.toContain("GET /containers/json");
  expect(refused).not.toContain("POST /containers/:id/start");
});
