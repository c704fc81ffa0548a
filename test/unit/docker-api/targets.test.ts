import type { DockerCall } from "../../../lib/docker-api/call";
import type { Nodes } from "../../../lib/docker-api/nodes";
import { matchRow } from "../../../lib/docker-api/row";
import { DOCKER_ROWS } from "../../../lib/docker-api/rows";
import { Targets } from "../../../lib/docker-api/targets";

test.each(["null", "5", "[]", "{}", '{"Container":null}', '{"Container":{}}'])(
  "a container is connected to a network by its name: the body %s is a 400",
  async (body) => {
    const targets = new Targets({ poolFor: () => ({}) } as unknown as Nodes, async () => []);
    const call = { ...matchRow(DOCKER_ROWS, "POST", ["networks", "n", "connect"]), access: {} } as unknown as DockerCall;
    await expect(targets.of(call, Buffer.from(body))).rejects.toThrow(expect.objectContaining({ status: 400 }));
  },
);

test("a link is removed where its container is, by its whole path", async () => {
  const locate = jest.fn(async () => ({ node: "n2", id: "0123" }));
  const targets = new Targets({ poolFor: () => ({}), locate } as unknown as Nodes, async () => []);
  const call = { ...matchRow(DOCKER_ROWS, "DELETE", ["containers", "web", "db"]), access: {} } as unknown as DockerCall;
  expect(await targets.of(call, undefined)).toEqual([{ node: "n2", id: "web/db" }]);
  expect(locate).toHaveBeenCalledWith("container", "web", call);
});
