import { cpSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { run } from "../../../scripts/process";
import { uniqueName } from "../../support/cluster-containers";
import { TOKEN } from "../../support/server";
import { type OneNode, startNode } from "../../support/single-node";

const MODULES = path.resolve(__dirname, "../../../node_modules");

let node: OneNode;
/** Folder with the inspector's CLI, laid out as in its own package: it reads a package.json beside itself. */
let inspector: string;
beforeAll(async () => {
  inspector = mkdtempSync(path.join(tmpdir(), "inspector-"));
  cpSync(path.join(MODULES, "@modelcontextprotocol/inspector-cli"), path.join(inspector, "cli"), { recursive: true });
  writeFileSync(path.join(inspector, "package.json"), JSON.stringify({ name: "@modelcontextprotocol/inspector", version: "1" }));
  symlinkSync(MODULES, path.join(inspector, "node_modules"));
  node = await startNode({ name: "inspector" });
});
afterAll(async () => {
  rmSync(inspector, { recursive: true });
  await node?.stop();
});

/** Runs the inspector for one method; it prints JSON. */
async function inspect(transport: "http" | "sse", args: string[], token = TOKEN) {
  const headers = ["--header", `Authorization: Bearer ${token}`];
  return run(process.execPath, [
    path.join(inspector, "cli/build/index.js"),
    `${node.server.url}/mcp`,
    "--transport",
    transport,
    ...headers,
    ...args,
  ]);
}

describe.each(["http", "sse"] as const)("the official inspector over %s", (transport) => {
  test("lists the tools with valid schemas", async () => {
    const { code, stdout } = await inspect(transport, ["--method", "tools/list"]);
    expect(code).toBe(0);
    const { tools } = JSON.parse(stdout);
    expect(tools.map(({ name }: { name: string }) => name)).toEqual(expect.arrayContaining(["run", "list", "exec", "volume", "health"]));
    for (const { inputSchema } of tools) expect(inputSchema.type).toBe("object");
  });

  test("runs a container to its end and gets its output", async () => {
    const name = uniqueName("inspected");
    const args = ["image=busybox", `name=${name}`, "auto_remove=true", 'command=["echo","from the inspector"]', "detach=false"];
    const { code, stdout } = await inspect(transport, [
      "--method",
      "tools/call",
      "--tool-name",
      "run_container",
      ...args.flatMap((each) => ["--tool-arg", each]),
    ]);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ structuredContent: { name, exit_code: 0, stdout: "from the inspector\n" } });
  });

  test("is refused with wrong credentials", async () => {
    const { code, stdout, stderr } = await inspect(transport, ["--method", "tools/list"], "wrong");
    expect(code).not.toBe(0);
    expect(stdout + stderr).toMatch(/401|not valid/);
  });
});
