import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { transformFileSync } from "@swc/core";
import { ROOT } from "./sources";

/** The program, compiled without type checks: it starts three times as fast as with a loader that compiles at run time. */
export interface CompiledProgram {
  /** Path of the script that starts it. */
  file: string;
  remove(): void;
}

/** Compiles the sources into a new folder below node_modules, so that the program finds its packages. */
export function compileProgram(): CompiledProgram {
  const cache = path.join(ROOT, "node_modules/.cache");
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(path.join(cache, "docker-server-"));
  for (const top of ["bin", "config", "lib"]) {
    for (const name of readdirSync(path.join(ROOT, top), { recursive: true, encoding: "utf8" })) {
      if (!name.endsWith(".ts")) continue;
      const { code } = transformFileSync(path.join(ROOT, top, name), {
        jsc: { parser: { syntax: "typescript" }, target: "es2022" },
        module: { type: "commonjs", ignoreDynamic: true },
      });
      const file = path.join(folder, top, name.replace(/\.ts$/, ".js"));
      mkdirSync(path.dirname(file), { recursive: true });
      writeFileSync(file, code);
    }
  }
  copyFileSync(path.join(ROOT, "package.json"), path.join(folder, "package.json"));
  return { file: path.join(folder, "bin/docker-server.js"), remove: () => rmSync(folder, { recursive: true, force: true }) };
}
