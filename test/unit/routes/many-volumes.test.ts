import { planContainerRun } from "../../../lib/routes/schemas/container-run";
import { parseVolumes } from "../../../lib/runs/volumes/run-volumes";

/** One request must not keep a node busy for minutes, in which it answers nobody. */

jest.setTimeout(30_000);

const policy = { allow: [], bindRoots: [], sockets: [] };
const numbers = (count: number) => Array.from({ length: count }, (_, at) => at);

test("a hundred thousand volumes of a one-off are looked through in no time", async () => {
  const volume = { type: "volume" as const, name: "data", response: false };
  const volumes = Object.fromEntries(numbers(100_000).map((at) => [`/v${at}`, volume]));
  expect(await parseVolumes(volumes, policy, 1000)).toHaveLength(100_000);
  await expect(parseVolumes({ ...volumes, "/v1/:ro": volume }, policy, 1000)).rejects.toMatchObject({
    details: { field: "volumes./v1/:ro" },
  });
});

test("two hundred thousand mounts of a service are looked through in no time", () => {
  const volumes = numbers(200_000).map((at) => `/v${at}:/data`);
  const body = { image: "busybox", container_port: 80 };
  expect(planContainerRun({ ...body, volumes }, undefined).name).toBeTruthy();
  const twice = () => planContainerRun({ ...body, volumes: [...volumes, "/v1:/other"] }, undefined);
  expect(twice).toThrow(expect.objectContaining({ details: { field: "volumes.200000" } }));
});
