import { Access } from "../../../lib/access/access";
import { AppError } from "../../../lib/errors";
import { UpstreamResolver } from "../../../lib/proxy/upstream-resolver";

const INFO = {
  State: { Running: true },
  Config: {},
  HostConfig: {},
  NetworkSettings: {
    // A gateway with an address of this machine: this process is not isolated in a container.
    Networks: { bridge: { Gateway: "127.0.0.1" } },
    Ports: { "80/tcp": [{ HostIp: "127.0.0.2", HostPort: "8080" }] },
  },
};

/** Resolves /proxy/web/ while this host remembers these ids for the name, one a lookup, of which the engine knows the last. */
async function resolveWith(...remembered: string[]): Promise<string> {
  const known = remembered.at(-1);
  const engine = {
    machine: undefined,
    // The engine is asked for the id that was found last.
    call: async () => {
      if (found === known) return INFO;
      throw new AppError("CONTAINER_NOT_FOUND", { cause: { statusCode: 404 } });
    },
  };
  let found: string | undefined;
  const containers = {
    onChange: () => undefined,
    find: async () => {
      found = remembered.shift();
      return { id: found, ports: [] };
    },
  };
  const resolver = new UpstreamResolver({ containers, engine, confinement: {} } as never, undefined, "n1");
  const target = { id: "web", prefix: "/proxy/web", path: "/", query: "" };
  const { containerId, host } = await resolver.resolve(target as never, { fromPeer: false, exact: false, access: Access.full });
  return `${containerId} at ${host}`;
}

describe("UpstreamResolver", () => {
  test("a container that the engine no longer knows by its remembered id is looked up once more", async () => {
    expect(await resolveWith("new")).toBe("new at 127.0.0.2:8080");
    expect(await resolveWith("old", "new")).toBe("new at 127.0.0.2:8080");
    await expect(resolveWith("old", "older", "new")).rejects.toMatchObject({ code: "CONTAINER_NOT_FOUND" });
  });
});
