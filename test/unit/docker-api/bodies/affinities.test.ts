import { Access } from "../../../../lib/access/access";
import { affinitiesOf } from "../../../../lib/docker-api/bodies/affinities";
import { confineCreate } from "../../../../lib/docker-api/bodies/confine-create";
import { parseCreateBody } from "../../../../lib/docker-api/bodies/create-body";
import { AppError } from "../../../../lib/errors";
import { accessOf } from "../../../support/unit/access-parts";

const parse = (body: object, access = Access.full) =>
  parseCreateBody(Buffer.from(JSON.stringify({ Image: "busybox", ...body })), {
    policy: { allow: ["host_namespaces"], bindRoots: [], sockets: [] },
    access,
  });
const affinities = (body: object) => affinitiesOf(parse(body));
const NONE = {
  volumes: [],
  networks: [],
  containers: [],
  image: "busybox",
  isImageId: false,
  project: undefined,
  session: undefined,
  node: undefined,
};

/** A body that refers to volumes, networks and containers in every way. */
const REFERRING = {
  HostConfig: {
    Binds: ["data:/d:ro", "/srv:/s", "/anonymous", "data:/e"],
    Mounts: [
      { Type: "volume", Source: "more", Target: "/m" },
      { Type: "volume", Target: "/n" },
      { Type: "bind", Source: "/x", Target: "/x" },
    ],
    VolumesFrom: ["store:ro"],
    Links: ["/db:database", "cache"],
    NetworkMode: "front",
    PidMode: "container:debugged",
    IpcMode: "container:debugged",
  },
  NetworkingConfig: { EndpointsConfig: { front: null, back: { Links: ["queue:q"] } } },
};

test("volumes, networks and containers that a body names bind it to their node", () => {
  expect(affinities(REFERRING)).toEqual({
    ...NONE,
    volumes: ["data", "more"],
    networks: ["front", "back"],
    containers: ["store", "db", "cache", "queue", "debugged"],
  });
  expect(affinities({ HostConfig: { NetworkMode: "container:web" } })).toEqual({ ...NONE, containers: ["web"] });
});

test("networks that every engine has bind to no node", () => {
  for (const NetworkMode of ["", "default", "bridge", "host", "none", null])
    expect(affinities({ HostConfig: { NetworkMode } })).toEqual(NONE);
});

test("a Compose project and a session of testcontainers stay together", () => {
  const Labels = { "com.docker.compose.project": "shop", "org.testcontainers.sessionId": "s1" };
  expect(affinities({ Labels })).toEqual({ ...NONE, project: "shop", session: "s1" });
});

test.each([
  ["sha256:0123456789ab", true],
  ["0123456789ab", true],
  ["redis", false],
  ["redis:7", false],
  ["cafe", false],
])("%s is an id: %s", (Image, isImageId) => {
  expect(affinities({ Image })).toEqual({ ...NONE, image: Image, isImageId });
});

test("a node is asked for by a variable or a label", () => {
  expect(affinities({ Env: ["A=b", "constraint:node==n2"] }).node).toBe("n2");
  expect(affinities({ Labels: { "constraint:node": "=n2" } }).node).toBe("n2");
  for (const text of ["constraint:node!=n2", "constraint:storage==ssd", "constraint:node==n*", "constraint:node==~n2"])
    expect(() => affinities({ Env: [text] })).toThrow(expect.objectContaining({ status: 400 }));
  expect(() => affinities({ Env: ["constraint:node==n1", "constraint:node==n2"] })).toThrow(expect.objectContaining({ status: 400 }));
});

describe("confineCreate", () => {
  const access = accessOf({ labels: { team: "a" } });
  const confinement = {
    containerId: async (name: string) => {
      if (name === "foreign") throw new AppError("CONTAINER_NOT_FOUND");
      return `id-of-${name}`;
    },
    networkId: async (name: string) => `net-of-${name}`,
    labelsToClear: async () => ({ "docker-server.managed": "" }),
  } as never;

  test("names become the ids that were looked up among what has the labels", async () => {
    const { body, volumes } = await confineCreate(
      parse(REFERRING, accessOf({ labels: { team: "a" }, host: ["/srv", "/x"] })),
      confinement,
      access,
    );
    expect(volumes).toEqual(["data", "more"]);
    expect(body.HostConfig).toMatchObject({
      VolumesFrom: ["id-of-store:ro"],
      Links: ["id-of-db:database", "id-of-cache:cache"],
      NetworkMode: "net-of-front",
      PidMode: "container:id-of-debugged",
      IpcMode: "container:id-of-debugged",
    });
    expect(body.NetworkingConfig).toEqual({
      EndpointsConfig: { "net-of-front": null, "net-of-back": { Links: ["id-of-queue:q"] } },
    });
    expect(body.Labels).toEqual({ "docker-server.managed": "", team: "a" });
  });

  test.each([
    { VolumesFrom: ["foreign"] },
    { Links: ["foreign:x"] },
    { NetworkMode: "container:foreign" },
    { PidMode: "container:foreign" },
    { IpcMode: "container:foreign" },
  ])("%j of another is not found", async (HostConfig) => {
    await expect(confineCreate(parse({ HostConfig }, access), confinement, access)).rejects.toThrow(
      expect.objectContaining({ code: "CONTAINER_NOT_FOUND" }),
    );
  });

  test("without labels nothing changes", async () => {
    const body = parse(REFERRING);
    expect(await confineCreate(body, confinement, Access.full)).toEqual({ body, volumes: [] });
  });
});
