import { until } from "../../../scripts/process";
import { type OneNode, startNode } from "../../support/single-node";
import { holderOf, narrowTokenOf } from "../../support/token-attacks";

let node: OneNode;
beforeAll(async () => {
  node = await startNode({ name: "list", args: ["--node_name=this-node"] });
});
afterAll(() => node?.stop());

async function listed(name: string) {
  const { json } = await node.request("GET", "/");
  return json.find((each: { name: string }) => each.name === name);
}

test("each container is listed with all its fields and docker's values", async () => {
  const labels = { plain: "value", wide: "漢字 and ünïcode", spaced: "a  b   c", lines: "one\ntwo" };
  const { json: started } = await node.request("PUT", "/", {
    json: {
      image: "busybox",
      name: "full",
      detach: true,
      data: ["sleep", "1000"],
      ports: { "127.0.0.1:8081": "80/tcp", 5353: "53/udp" },
      labels,
    },
  });
  const info = await node.inspect("full");
  expect(await listed("full")).toEqual({
    id: started.id,
    name: "full",
    image: "busybox",
    command: "sleep 1000",
    created: new Date(Math.floor(Date.parse(info.Created) / 1000) * 1000).toISOString(),
    state: "running",
    status: expect.stringMatching(/^Up /),
    ports: expect.arrayContaining([
      { host_ip: "127.0.0.1", host: 8081, container: 80, protocol: "tcp" },
      { host_ip: "0.0.0.0", host: 5353, container: 53, protocol: "udp" },
    ]),
    labels: { ...labels, "docker-server.run": "full" },
    host: "this-node",
  });
});

test("a stopped container is listed with its exit code, a paused one as paused", async () => {
  await node.request("PUT", "/", { json: { image: "busybox", name: "ended", data: "sh -c 'exit 7'" } });
  expect(await listed("ended")).toMatchObject({ state: "exited", status: expect.stringContaining("Exited (7)") });
  await node.docker("run", "-d", "--name", "resting", "busybox", "sleep", "1000");
  await node.docker("pause", "resting");
  expect(await listed("resting")).toMatchObject({ state: "paused" });
});

test("a container's name is its own and not that of a link", async () => {
  await node.docker("run", "-d", "--name", "target", "busybox", "sleep", "1000");
  await node.docker("run", "-d", "--name", "linker", "--link", "target:alias", "busybox", "sleep", "1000");
  expect(await listed("target")).toBeDefined();
  expect(await listed("linker")).toBeDefined();
});

test("every change by this server shows in the next list", async () => {
  for (let turn = 0; turn < 5; turn++) {
    const name = `own-${turn}`;
    await node.request("PUT", "/", { json: { image: "busybox", name, detach: true, data: "sleep 1000" } });
    expect(await listed(name)).toMatchObject({ state: "running" });
    await node.request("DELETE", `/${name}`);
    expect(await listed(name)).toBeUndefined();
  }
});

test("an ended foreground run shows as exited in the next list", async () => {
  for (let turn = 0; turn < 5; turn++) {
    await node.request("PUT", "/", { json: { image: "busybox", name: `ran-${turn}`, data: "true" } });
    expect(await listed(`ran-${turn}`)).toMatchObject({ state: "exited" });
  }
});

test("every change by the docker command shows by its event before the cached list expires", async () => {
  for (let turn = 0; turn < 4; turn++) {
    const name = `outside-${turn}`;
    await changed(["run", "-d", "--name", name, "busybox", "sleep", "1000"], name, "running");
    await changed(["rename", name, `${name}-b`], `${name}-b`, "running");
    expect(await listed(name)).toBeUndefined();
    await changed(["pause", `${name}-b`], `${name}-b`, "paused");
    await changed(["rm", "--force", `${name}-b`], `${name}-b`, undefined);
  }
});

/** Reads the list, runs docker, and reads the list until it shows the container in this state. */
async function changed(args: string[], name: string, state: string | undefined) {
  const LESS_THAN_MAX_AGE = 600;
  await node.request("GET", "/");
  await node.docker(...args);
  expect([args, await until(async () => (await listed(name))?.state === state, LESS_THAN_MAX_AGE)]).toEqual([args, true]);
}

test("a container created by the docker command is found at once", async () => {
  for (let turn = 0; turn < 5; turn++) {
    await node.request("GET", "/");
    await node.docker("run", "--name", `known-${turn}`, "busybox", "echo", "here");
    expect((await node.request("GET", `/known-${turn}`)).json).toMatchObject({ stdout: "here\n" });
  }
});

test("concurrent lists show the same containers", async () => {
  const answers = await Promise.all(Array.from({ length: 50 }, () => node.request("GET", "/")));
  const expected = (await node.names()).join();
  for (const { json } of answers)
    expect(
      json
        .map((each: { name: string }) => each.name)
        .sort()
        .join(),
    ).toBe(expected);
});

test("?node= accepts this node's name and refuses any other", async () => {
  expect((await node.request("GET", "/?node=this-node")).status).toBe(200);
  expect((await node.request("GET", "/?node=other")).json).toMatchObject({ status: 404, code: "NODE_NOT_FOUND" });
});

test("who asks for a container that has almost the name of a route is told of the route", async () => {
  const messageOf = async (method: string, path: string) => (await node.request(method, path)).json.message;
  expect(await messageOf("GET", "/image")).toBe("No such container: image; did you mean GET /images?");
  expect(await messageOf("GET", "/container")).toBe("No such container: container; did you mean GET /containers?");
  expect(await messageOf("GET", "/logs")).toBe("No such route: GET /logs; did you mean GET /logs/search?");
  expect(await messageOf("GET", "/status")).toBe("No such container: status; did you mean GET /health?");
  expect(await messageOf("GET", "/containers/json")).toBe("No such container: json; did you mean GET /v1.41/containers/json?");
  expect(await messageOf("GET", "/images/json")).toMatch(/; did you mean GET \/v1\.41\/images\/json\?$/);
  expect(await messageOf("GET", "/containers/no-such-name")).toBe("No such container: no-such-name");
  expect(await messageOf("GET", "/nodes")).toBe("No such route: GET /nodes; only with --cluster");
  expect(await messageOf("GET", "/no-such-name")).toBe("No such container: no-such-name");
  expect(await messageOf("POST", "/volumes")).toBe("/volumes has no POST; it has GET, HEAD; did you mean POST /volume?");
  expect(await messageOf("PATCH", "/web")).toBe("/web has no PATCH; it has HEAD, GET, POST, DELETE; did you mean PATCH /containers/web?");
  expect(await messageOf("GET", "/v1/pods")).toBe("No such route: GET /v1/pods; /openapi.json lists all");
  expect(await messageOf("GET", "/proxy/web:80/")).toBe("No container can have this name: a port is named by ?port=80");
  expect(await messageOf("POST", "/containers/create")).toMatch(/; did you mean POST \/containers\?$/);
  expect(await messageOf("POST", "/images/pull?image=busybox")).toBe("image is no parameter of the address here, but a field of the body");
  const metrics = holderOf(node.server.url, narrowTokenOf({ can: ["nodes"] }));
  expect((await metrics("GET", "/metric")).json).toMatchObject({
    code: "REFUSED_BY_TOKEN",
    message: "The token does not permit this: It needs logs (can); did you mean GET /metrics?",
    details: { caveat: "can", permission: "logs", did_you_mean: "GET /metrics" },
  });
  expect((await metrics("GET", "/no-such-name")).json.details).not.toHaveProperty("did_you_mean");
});
