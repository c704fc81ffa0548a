import { containerRunBody, toContainerRunSpec } from "../../../lib/routes/schemas/container-run";
import { planRootRun, rootRunBody, toRunSpec } from "../../../lib/routes/schemas/root-run";

test("the plan of a run has its fixed host ports, alone and with their addresses", () => {
  const ports = { "8080": "80", "127.0.0.2:81": "53/udp", "[::1]:82": "80", "0": "1", "": "2", "127.0.0.1:": "3" };
  expect(planRootRun({ image: "busybox", ports }, undefined).needs).toMatchObject({
    ports: ["8080/tcp", "81/udp", "82/tcp"],
    bindings: [":8080/tcp", "127.0.0.2:81/udp", "[::1]:82/tcp"],
  });
});

test.each<[object, object]>([
  [{}, { networks: [], containers: [] }],
  [
    { network: "bridge", pid: "host" },
    { networks: [], containers: [] },
  ],
  [{ network: "back" }, { networks: ["back"], containers: [] }],
  [
    { network: "container:vpn", ipc: "container:db" },
    { networks: [], containers: ["vpn", "db"] },
  ],
])("the plan of a run with %j has what it joins", (fields, needs) => {
  expect(planRootRun({ image: "busybox", ...fields }, undefined).needs).toMatchObject(needs);
});

test("a run that is waited for and then started again and again is told as a warning", () => {
  const warningsOf = (fields: object) => toRunSpec(rootRunBody.parse({ image: "busybox", ...fields }), undefined).warnings;
  const told = [expect.stringMatching(/^without detach the answer comes at the first end/)];
  expect(warningsOf({ restart_policy: "always" })).toEqual(told);
  expect(warningsOf({ restart_policy: "unless-stopped" })).toEqual(told);
  expect(warningsOf({ restart_policy: "always", detach: true })).toEqual([]);
  expect(warningsOf({ restart_policy: "on-failure" })).toEqual([]);
});

test("a container that serves a port and is started again and again has no warning, unless it is waited for", () => {
  const warningsOf = (fields: object) => {
    const body = containerRunBody.parse({ image: "busybox", container_port: 80, restart_policy: "always", ...fields });
    return toContainerRunSpec(body, undefined).warnings;
  };
  expect(warningsOf({})).toEqual([]);
  expect(warningsOf({ detach: false })).toEqual([expect.stringMatching(/^without detach/)]);
});
