import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { writeBusyboxLayer } from "../../scripts/busybox-image";
import { runOrThrow } from "../../scripts/process";
import { BED, withBedLock } from "./bed";
import type { Engine } from "./engine";
import { engineApi } from "./engine-api";

const BUSYBOX_COMMAND = ["sh"];
const CACHED_LAYER = path.join(BED, "busybox.tar");

/**
 * Imports an image of Debian's static busybox into an engine: every applet in /bin, root and nobody as users, CMD sh.
 * The layer is the same on every engine; it is created once (0.1 s) and cached in the test bed's folder.
 * Returns the image id; throws an Error with the message of tar or docker.
 */
export async function importBusybox(engine: Engine, tag = "busybox:latest"): Promise<string> {
  const present: { Id: string; Config: { Cmd: string[] } } | undefined = await engineApi(engine, "GET", `/images/${tag}/json`);
  if (present?.Config.Cmd.join() === BUSYBOX_COMMAND.join()) return present.Id;
  return importLayer(engine, tag, BUSYBOX_COMMAND);
}

/**
 * Runner for code runs (docs/runs.md, "Code runs"): reads a JSON object and writes one with stdout, stderr and error. The payload's
 * `script` is a shell script in base64; a `raw` script replaces the runner.
 */
const RUNNER = String.raw`
in=$(cat)
field() { printf %s "$in" | sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p" | base64 -d; }
escaped() { sed 's/\\/\\\\/g; s/"/\\"/g; s/\t/\\t/g' | awk '{ printf "%s%s", (NR > 1 ? "\\n" : ""), $0 }'; }
raw=$(field raw)
[ -n "$raw" ] && exec sh -c "$raw"
error=
out=$(sh -c "$(field script)" 2>/tmp/stderr) || error="exit status $?"
printf '{"stdout":"%s","stderr":"%s","error":"%s"}' "$(printf %s "$out" | escaped)" "$(escaped </tmp/stderr)" "$error"
`;

/** Imports an image for code runs of shell scripts into an engine. Returns the image id. */
export function importRunner(engine: Engine, tag = "code-runner:latest"): Promise<string> {
  return importLayer(engine, tag, ["sh", "-c", RUNNER]);
}

/** Imports an image that serves a page with `hello` at port 80 into an engine. Returns the image id. */
export function importWeb(engine: Engine, tag = "nginx:latest"): Promise<string> {
  const serve = "mkdir -p /www; echo hello > /www/index.html; echo serving; exec httpd -f -p 80 -h /www";
  return importLayer(engine, tag, ["sh", "-c", serve]);
}

async function importLayer(engine: Engine, tag: string, command: string[]): Promise<string> {
  // Under the lock: the file belongs to no place, so a concurrent sweep could remove it with the bed's folder.
  await withBedLock(async () => {
    if (!existsSync(CACHED_LAYER)) await writeBusyboxLayer(CACHED_LAYER);
  });
  const imported = await engine.docker(["import", "-c", `CMD ${JSON.stringify(command)}`, "-", tag], readFileSync(CACHED_LAYER));
  if (imported.code !== 0) throw new Error(`docker import: ${imported.stderr}`);
  return imported.stdout.trim();
}

/** Imports this machine's Python (a dependency of the S3 server) with its shared libraries. */
const PYTHON_LAYER = `
python=$(readlink -f /usr/bin/python3)
library=/usr/lib/$(basename "$python")
libraries=$(ldd "$python" "$library"/lib-dynload/*.so | grep -o '/[^ :)]*' | grep '^/lib' | sort -u)
tar --create --dereference --absolute-names --exclude=test --exclude='config-*' --exclude=__pycache__ \\
  --transform='flags=r;s,^/,,' /usr/bin/python3 "$library" $libraries | docker import --change "CMD $1" - "$2"
`;

/** Imports an image of Python and nothing else (no shell, no pip) into an engine. */
export async function importPython(engine: Engine, tag: string, command: string[]): Promise<void> {
  const env = { PATH: process.env.PATH, HOME: engine.folder, DOCKER_HOST: engine.dockerHost };
  await runOrThrow("sh", ["-ec", PYTHON_LAYER, "sh", JSON.stringify(command), tag], { env });
}
