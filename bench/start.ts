import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync } from "node:fs";
import http from "node:http";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Engine } from "../test/support/engine";
import { freePorts } from "../test/support/ports";
import { PROGRAM, TOKEN } from "../test/support/server";
import { type Bed, CREDENTIALS } from "./bed";
import { median } from "./compare";
import type { AbsoluteMeasurement } from "./report";

const STARTS = 7;
const IDLE_MS = 2000;

/** Time from the start of the process to its first answered list, and memory when idle. */
export async function benchStart({ engine }: Bed): Promise<AbsoluteMeasurement[]> {
  process.stderr.write("start ");
  const times: number[] = [];
  const sizes: number[] = [];
  for (let start = 0; start < STARTS; start++) {
    const { pid, startMs, end } = await startTimed(engine, PROGRAM);
    times.push(startMs);
    if (start < 3) {
      await sleep(IDLE_MS);
      sizes.push(residentMegabytes(pid));
    }
    await end();
    process.stderr.write(".");
  }
  process.stderr.write("\n");
  return [
    { title: "from start to first answer", value: median(times), unit: "ms", atMost: 800 },
    { title: "memory when idle", value: median(sizes), unit: "MB", atMost: 100 },
  ];
}

/** A process that has answered its first request. */
export interface StartedProcess {
  pid: number;
  url: string;
  /** from its start to the answer */
  startMs: number;
  end(): Promise<void>;
}

/**
 * Starts a build of this server, or another program, and waits until it answers a list with 200.
 * @param argsOf of another program than this server: its arguments
 */
export async function startTimed(
  engine: Engine,
  program: string,
  argsOf = (port: number) => ["--host", "127.0.0.1", "--port", `${port}`, "--token", TOKEN, "--high_burst=0"],
): Promise<StartedProcess> {
  const [port = 0] = await freePorts(1);
  const cwd = mkdtempSync(path.join(engine.folder, "start-"));
  const startedAt = performance.now();
  const child = spawn(process.execPath, [program, ...argsOf(port)], {
    cwd,
    env: { PATH: process.env.PATH, HOME: engine.folder, DOCKER_HOST: engine.dockerHost },
    stdio: "ignore",
  });
  const ended = new Promise<void>((resolve) => child.on("exit", () => resolve()));
  while ((await statusOfList(port)) !== 200) {
    if (child.exitCode !== null) throw new Error(`${program} ended with ${child.exitCode} instead of answering`);
    await sleep(2);
  }
  const startMs = performance.now() - startedAt;
  const end = () => {
    child.kill("SIGKILL");
    return ended;
  };
  return { pid: child.pid as number, url: `http://127.0.0.1:${port}`, startMs, end };
}

/** Resident memory of a process, in MB. */
export function residentMegabytes(pid: number): number {
  const kilobytes = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return (Number(kilobytes) * 1024) / 1_000_000;
}

function statusOfList(port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const request = http.get({ host: "127.0.0.1", port, headers: CREDENTIALS, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    request.on("error", () => resolve(undefined));
  });
}
