import { planContainerRun } from "../../../lib/routes/schemas/container-run";
import { planRootRun } from "../../../lib/routes/schemas/root-run";
import { parseVolumes } from "../../../lib/runs/volumes/run-volumes";

/** A single request must not block the event loop for minutes: the checks must be linear. */

const policy = { allow: [], bindRoots: [], sockets: [] };
const numbers = (count: number) => Array.from({ length: count }, (_, at) => at);

test("100,000 volumes of a one-off run are validated quickly", async () => {
  const volume = { type: "volume" as const, name: "data", response: false };
  const volumes = Object.fromEntries(numbers(100_000).map((at) => [`/v${at}`, volume]));
  expect(await parseVolumes(volumes, policy, 1000)).toHaveLength(100_000);
  await expect(parseVolumes({ ...volumes, "/v1/:ro": volume }, policy, 1000)).rejects.toMatchObject({
    details: { field: "volumes./v1/:ro" },
  });
});

test("200,000 mounts of a container run are validated quickly", () => {
  const volumes = numbers(200_000).map((at) => `/v${at}:/data`);
  const body = { image: "busybox", container_port: 80 };
  expect(planContainerRun({ ...body, volumes }, undefined).name).toBeTruthy();
  const twice = () => planContainerRun({ ...body, volumes: [...volumes, "/v1:/other"] }, undefined);
  expect(twice).toThrow(expect.objectContaining({ details: { field: "volumes.200000" } }));
});

test("200,000 ports and variables of a run are validated quickly", () => {
  const ports = numbers(200_000).map(() => "80");
  const env = numbers(200_000).map((at) => `NAME${at}=value`);
  expect(planRootRun({ image: "busybox", ports, env }, undefined).name).toBeTruthy();
  const twice = () => planRootRun({ image: "busybox", env: [...env, "NAME1=other"] }, undefined);
  expect(twice).toThrow(expect.objectContaining({ details: { field: "env.200000" } }));
});
