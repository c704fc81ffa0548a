import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { until } from "../../../scripts/process";
import { type Program, runProgram, startProgram, USER } from "../../support/example-programs";
import { importWeb } from "../../support/images";
import { type OneNode, startNode } from "../../support/single-node";

const DEADLINE_MS = 30_000;

let node: OneNode;
let api: { url: string; folder: string };
/** A running container with a log file in /app. */
let cuid: string;
const programs: Program[] = [];
beforeAll(async () => {
  node = await startNode({ name: "documented", env: USER });
  api = { url: node.server.url, folder: mkdtempSync(path.join(tmpdir(), "docker-server-documented-")) };
  await importWeb(node.engine, "nginx:alpine");
  cuid = await create();
  expect(await runProgram(api, ["upload.py", cuid])).toBe("True");
  await node.request("POST", `/containers/${cuid}/start`);
  await inside("mkdir /app/logs; echo first > /app/logs/app.log");
});
afterEach(async () => {
  for (const program of programs.splice(0)) program.end();
  expect(await until(async () => (await processes()).join() === "sleep 100000", DEADLINE_MS)).toBe(true);
});
afterAll(async () => {
  rmSync(api.folder, { recursive: true, force: true });
  await node?.stop();
});

const inside = (script: string) => node.docker("exec", cuid, "sh", "-c", script);

async function create(): Promise<string> {
  const { json } = await node.request("POST", "/containers", { json: { image: "nginx:alpine", command: ["sleep", "100000"] } });
  return json.cuid;
}

function start(...command: string[]): Program {
  const program = startProgram(api, command);
  programs.push(program);
  return program;
}

/** The command lines of the container's processes. */
async function processes(): Promise<string[]> {
  const lines = (await node.docker("top", cuid, "-eo", "pid,args")).split("\n").slice(1);
  return lines.map((line) => line.trim().replace(/^\d+ +/, ""));
}
const waitForProcess = (command: string) => until(async () => (await processes()).includes(command), DEADLINE_MS);

describe("python: Interactive Terminal Session", () => {
  test("a shell of the requested size runs lines and returns their output; exit leaves no process running", async () => {
    const terminal = start("terminal.py", cuid);
    await terminal.prints(/^Connected to container\. Type 'exit' to quit\.\nSpecial commands: !INT/);
    terminal.type("stty size; echo $((6 * 7)) 漢字; ls /nowhere");
    await terminal.prints(/\n24 80\r?\n42 漢字\r?\nls: \/nowhere: No such file/);
    terminal.type("!RESIZE");
    terminal.type("stty size");
    await terminal.prints(/\n50 132\r?\n/);
    terminal.type("printf '<\\377>\\n'");
    await terminal.prints(/\n<\ufffd>\r?\n/);
    terminal.type("sleep 2000");
    expect(await waitForProcess("sleep 2000")).toBe(true);
    terminal.type("exit");
    expect(await terminal.result).toMatchObject({ code: 0, stderr: "" });
  });

  test("signals reach the foreground process, and the shell continues", async () => {
    const terminal = start("terminal.py", cuid);
    terminal.type("sleep 2000");
    expect(await waitForProcess("sleep 2000")).toBe(true);
    terminal.type("!INT");
    for (const [signal, code] of [
      ["!TERM", 143],
      ["!KILL", 137],
    ] as const) {
      terminal.type(`sleep ${code}; echo code $?`);
      expect(await waitForProcess(`sleep ${code}`)).toBe(true);
      terminal.type(signal);
      await terminal.prints(new RegExp(`\ncode ${code}\r?\n`));
    }
    expect((await processes()).join()).not.toContain("sleep 2000");
    terminal.type("exit 3");
    await terminal.prints(/\n\[Process exited with code 3\]\n$/);
    terminal.type("");
    expect((await terminal.result).code).toBe(0);
  });

  test("a stopped container is a 409, wrong credentials are a 401", async () => {
    const stopped = await create();
    const { code, stderr } = await start("terminal.py", stopped).result;
    expect([code, stderr]).toEqual([1, expect.stringMatching(/HTTP 409\n$/)]);
    const wrong = startProgram(api, ["terminal.py", cuid], { APP_PASS: "wrong" });
    expect((await wrong.result).stderr).toMatch(/HTTP 401\n$/);
    await node.request("DELETE", `/containers/${stopped}`);
  });
});

test("python: Container Logs Streaming gets existing and new log lines", async () => {
  const stream = start("stream_logs.py", cuid);
  await stream.prints(/^first\n$/);
  for (const line of ["second", "third 漢字"]) {
    await inside(`echo ${line} >> /app/logs/app.log`);
    await stream.prints(new RegExp(`\n${line}\n$`));
  }
  expect(await waitForProcess("tail -f /app/logs/app.log")).toBe(true);
  stream.end();
  expect((await stream.result).stdout).toBe("first\nsecond\nthird 漢字\n");
});

describe("javascript: Non-Interactive Command Execution", () => {
  test("prints a command's output and exit code", async () => {
    const output = await runProgram(api, ["execute.js", cuid, "ls -la /app"]);
    expect(output).toMatch(/^Exit code: 0\nOutput: total .* boot\.py\n.* requirements\.txt$/s);
  });

  test("prints stderr separately", async () => {
    const { stdout, stderr } = await start("execute.js", cuid, "echo out; ls /nowhere").result;
    expect(stdout).toBe("Exit code: 1\nOutput: out\n\n");
    expect(stderr).toBe("Errors: ls: /nowhere: No such file or directory\n\n");
  });

  test("fails for an unknown container", async () => {
    expect((await start("execute.js", "c123e4567-e89b-12d3-a456-426614174000", "ls").result).stderr).toMatch(
      /^Failed: Error: Unexpected server response: 404\n/,
    );
  });
});
