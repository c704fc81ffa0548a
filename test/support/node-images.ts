import { chmodSync, copyFileSync, cpSync, mkdirSync, realpathSync, rmSync, symlinkSync } from "node:fs";
import path from "node:path";
import { writeBusyboxLayer } from "../../scripts/busybox-image";
import { run, runOrThrow } from "../../scripts/process";
import type { Engine } from "./engine";
import { engineApi } from "./engine-api";
import { copyNpmCache } from "./npm-cache";
import { dockerOf } from "./single-node";

/**
 * Imports an image with Node.js and npm at the paths of the official image, from this machine's files, into an engine. Its npm
 * installs from a cache in the image, because the engines of the test bed reach no registry.
 */
function importNodeBase(engine: Engine, tag: string): Promise<void> {
  return importRoot(engine, tag, ["ENV npm_config_offline=true npm_config_cache=/npm-cache", 'CMD ["node"]'], async (root) => {
    await addBusyboxAndNode(root);
    const npm = path.resolve(realpathSync((await runOrThrow("which", ["npm"])).trim()), "../..");
    cpSync(npm, path.join(root, "usr/local/lib/node_modules/npm"), { recursive: true });
    symlinkSync("../lib/node_modules/npm/bin/npm-cli.js", path.join(root, "usr/local/bin/npm"));
    // The shared libraries of the CLI image's programs; the programs of the official image are static.
    for (const program of await cliPrograms()) await addLibraries(root, program.from);
    await copyNpmCache(path.join(root, "npm-cache"));
  });
}

/** Imports an image with only busybox and Node.js into an engine, unless the tag exists. */
export async function importNode(engine: Engine, tag: string): Promise<void> {
  if (await engineApi(engine, "GET", `/images/${tag}/json`)) return;
  await importRoot(engine, tag, ['CMD ["node"]'], addBusyboxAndNode);
}

async function addBusyboxAndNode(root: string): Promise<void> {
  const layer = path.join(root, "busybox.tar");
  await writeBusyboxLayer(layer);
  await runOrThrow("tar", ["-C", root, "-xf", layer]);
  rmSync(layer);
  await addProgram(root, process.execPath, "/usr/local/bin/node");
}

/** Imports an image with the docker CLI and its compose plugin, at the paths of docker's CLI image, into an engine. */
function importDockerCli(engine: Engine, tag: string): Promise<void> {
  return importRoot(engine, tag, [], async (root) => {
    for (const { from, to } of await cliPrograms()) await addProgram(root, from, to);
  });
}

const ROOT = path.resolve(__dirname, "../..");

/** Builds this project's Dockerfile from these images, without BuildKit. */
export async function buildShipped(engine: Engine, tag: string): Promise<void> {
  await importNodeBase(engine, "node-base:20");
  await importDockerCli(engine, "docker-cli:1");
  const images = ["--build-arg", "BASE_IMAGE=node-base:20", "--build-arg", "CLI_IMAGE=docker-cli:1"];
  const env = { PATH: process.env.PATH, HOME: engine.folder, DOCKER_HOST: engine.dockerHost, DOCKER_BUILDKIT: "0" };
  await runOrThrow("docker", ["build", ...images, "--tag", tag, ROOT], { env });
}

async function cliPrograms(): Promise<{ from: string; to: string }[]> {
  const plugins = JSON.parse(await runOrThrow("docker", ["info", "--format", "{{json .ClientInfo.Plugins}}"]));
  const compose = plugins.find((plugin: { Name: string }) => plugin.Name === "compose");
  if (!compose) throw new Error("docker compose v2 is not installed here");
  return [
    { from: (await runOrThrow("which", ["docker"])).trim(), to: "/usr/local/bin/docker" },
    { from: compose.Path, to: "/usr/local/libexec/docker/cli-plugins/docker-compose" },
  ];
}

async function importRoot(engine: Engine, tag: string, changes: string[], fill: (root: string) => Promise<void>): Promise<void> {
  const root = path.join(engine.folder, `root-${path.basename(tag).replace(/\W/g, "-")}`);
  const tar = `${root}.tar`;
  mkdirSync(root, { mode: 0o755 });
  try {
    await fill(root);
    await runOrThrow("tar", ["--owner=0", "--group=0", "--numeric-owner", "-C", root, "-cf", tar, "."]);
    await dockerOf(engine, ["import", ...changes.flatMap((change) => ["-c", change]), tar, tag]);
  } finally {
    rmSync(root, { recursive: true, force: true });
    rmSync(tar, { force: true });
  }
}

async function addProgram(root: string, from: string, to: string): Promise<void> {
  copyTo(root, realpathSync(from), to);
  chmodSync(path.join(root, to), 0o755);
  await addLibraries(root, from);
}

async function addLibraries(root: string, program: string): Promise<void> {
  const { stdout } = await run("ldd", [program]);
  for (const [library] of stdout.matchAll(/\/\S+/g)) copyTo(root, realpathSync(library), library);
}

function copyTo(root: string, from: string, to: string): void {
  const file = path.join(root, to);
  mkdirSync(path.dirname(file), { recursive: true, mode: 0o755 });
  copyFileSync(from, file);
}
