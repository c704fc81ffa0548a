import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { until } from "../../../scripts/process";
import { importPython } from "../../support/images";
import { type OneNode, startNode } from "../../support/single-node";

const DEADLINE_MS = 30_000;
const IMAGE = "python:3.12-slim";

let node: OneNode;
let folder: string;
beforeAll(async () => {
  node = await startNode({ name: "managed-python" });
  folder = mkdtempSync(path.join(tmpdir(), "docker-server-python-"));
  await importPython(node.engine, IMAGE, ["/usr/bin/python3", "-c", "print('of the image')"]);
});
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await node?.stop();
});

const log = async (cuid: string) => (await node.request("GET", `/containers/${cuid}/logs`)).text;

/** The program of the complete example (test/examples/container-management), without its pauses. */
const CODE = `
import os
import time
print(f"Hello from container {os.environ.get('CONTAINER_UID')}")
print(f"Environment: {os.environ.get('APP_ENV', 'development')}")
print(f"Tags: {os.environ.get('TAGS', 'none')}")
print("Working...")
time.sleep(1000)
`;

test("the documented boot.py runs at the start, unbuffered, in an image without a shell", async () => {
  const { cuid } = (
    await node.request("POST", "/containers", {
      json: { image: IMAGE, env: { APP_ENV: "production" }, tags: ["automated"], resources: { cpus: 0.5, memory: "1024m" } },
    })
  ).json;
  writeFileSync(path.join(folder, "boot.py"), CODE);
  writeFileSync(path.join(folder, "requirements.txt"), "requests==2.31.0\n");
  for (const file of ["boot.py", "requirements.txt"]) await node.docker("cp", path.join(folder, file), `${cuid}:/app/${file}`);
  expect((await node.request("POST", `/containers/${cuid}/start`)).json).toMatchObject({ cuid, status: "running" });
  const expectedLog = `Hello from container ${cuid}\nEnvironment: production\nTags: automated\nWorking...\n`;
  expect(await until(async () => (await log(cuid)) === expectedLog, DEADLINE_MS)).toBe(true);
  expect((await node.request("DELETE", `/containers/${cuid}`)).status).toBe(200);
});

test("without boot.py the image's command runs; an image without a command logs why it ends", async () => {
  const { cuid } = (await node.request("POST", "/containers", { json: { image: IMAGE } })).json;
  await node.request("POST", `/containers/${cuid}/start`);
  expect(await until(async () => (await log(cuid)) === "of the image\n", DEADLINE_MS)).toBe(true);
  await importPython(node.engine, "silent:1", []);
  const silent = (await node.request("POST", "/containers", { json: { image: "silent:1" } })).json.cuid;
  await node.request("POST", `/containers/${silent}/start`);
  expect(await until(async () => (await log(silent)).includes("neither /app/boot.py"), DEADLINE_MS)).toBe(true);
});
