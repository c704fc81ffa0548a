import { spawn } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { makeBed, CREDENTIALS } from "./bed";
import { median } from "./compare";
import { newContainer } from "./container";
import { HttpClient, wholeBody } from "./http-client";
import { freePorts } from "../test/support/ports";
import { TOKEN } from "../test/support/server";
import { answers, until } from "../scripts/process";
(async () => {
  const bed = await makeBed();
  const id = await newContainer(bed, ["sleep", "1000"]);
  const [port] = await freePorts(1);
  const k = spawn(process.execPath, [`/tmp/ds3/dist/bin/docker-server.js`, "--port", String(port), "--host", "127.0.0.1", "--token", TOKEN, "--low_burst=0", "--mid_burst=0", "--high_burst=0"], { cwd: mkdtempSync(`${bed.engine.folder}/s-`), env: { PATH: process.env.PATH, HOME: "/root", DOCKER_HOST: bed.engine.dockerHost }, stdio: "inherit" });
  await until(() => answers({ host: "127.0.0.1", port: port as number, path: "/health" }), 10000);
  const c = new HttpClient({ host: "127.0.0.1", port: port as number }, CREDENTIALS);
  const t: Record<string, number[]> = {};
  const note = (n: string, v: number) => (t[n] ??= []).push(v);
  for (let i = 0; i < 60; i++) for (const side of ["raw", "ours"].sort(() => Math.random() - 0.5)) {
    const s = performance.now();
    if (side === "ours") await c.ask("POST", `/${id}`, { data: ["echo", "hello"] });
    else {
      const { Id } = await bed.raw.askJson("POST", `/containers/${id}/exec`, { Cmd: ["echo", "hello"], AttachStdout: true, AttachStderr: true }); const a = performance.now();
      const st = await bed.raw.open("POST", `/exec/${Id}/start`, {}); const b = performance.now(); await wholeBody(st); const d = performance.now();
      await bed.raw.ask("GET", `/exec/${Id}/json`); const e = performance.now();
      note("raw create", a - s); note("raw start headers", b - a); note("raw output", d - b); note("raw exit code", e - d);
    }
    note(side, performance.now() - s);
  }
  for (const [n, v] of Object.entries(t)) console.log(n, median(v).toFixed(2));
  k.kill("SIGTERM"); await new Promise((r) => k.on("exit", r));
  await bed.close();
})();
