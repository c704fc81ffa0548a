import { Readable } from "node:stream";
import { pack } from "tar-stream";
import { ownerFields } from "../archive/tar-write";
import { APP_FOLDER } from "../docker/app-folder";
import type { Engine } from "../docker/engine";
import { isNotFound } from "../errors";
import type { ManagedSpec } from "./managed-spec";

/** Path of the shell on every image that has one. */
export const SHELL_PATH = "/bin/sh";
const PYTHON_PATHS = ["/usr/local/bin/python3", "/usr/bin/python3"];
/** Value of `boot` for an image without a shell and without Python: its own command runs unchanged. */
const NO_INTERPRETER = "";

const APP_FOLDER_MODE = 0o755;
const BOOT_FILE = `${APP_FOLDER}/boot.py`;
const REQUIREMENTS_FILE = `${APP_FOLDER}/requirements.txt`;

const SHELL_SCRIPT = `
if [ -f ${BOOT_FILE} ]; then
  python=$(command -v python3 || command -v python) || { echo "${BOOT_FILE} is there, but this image has no python" >&2; exit 127; }
  cd ${APP_FOLDER}
  if [ -f ${REQUIREMENTS_FILE} ] && "$python" -m pip --version >/dev/null 2>&1; then
    "$python" -m pip install --disable-pip-version-check --no-input -r ${REQUIREMENTS_FILE} || exit
  fi
  exec "$python" -u ${BOOT_FILE}
fi
[ $# -gt 0 ] || { echo "There is neither ${BOOT_FILE} nor a command of the image" >&2; exit 127; }
exec "$@"
`;

const PYTHON_SCRIPT = `
import importlib.util, os, subprocess, sys
if os.path.isfile("${BOOT_FILE}"):
    os.chdir("${APP_FOLDER}")
    if os.path.isfile("${REQUIREMENTS_FILE}") and importlib.util.find_spec("pip"):
        done = subprocess.call([sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "-r", "${REQUIREMENTS_FILE}"])
        if done: sys.exit(done)
    os.execv(sys.executable, [sys.executable, "-u", "${BOOT_FILE}"])
if len(sys.argv) < 2: sys.exit("There is neither ${BOOT_FILE} nor a command of the image")
os.execvp(sys.argv[1], sys.argv[1:])
`;

/**
 * The entrypoint of a managed container: at each start it runs /app/boot.py if that file exists, else the image's own command. The check
 * is a script for the image's shell or its Python.
 * @param imageCommand the image's entrypoint and command
 * @returns empty if the image has neither interpreter or the spec has a command: then nothing is overridden
 */
export function bootEntrypoint({ command, boot }: ManagedSpec, imageCommand: readonly string[]): string[] {
  if (command !== undefined || boot === NO_INTERPRETER) return [];
  return boot === SHELL_PATH ? [boot, "-c", SHELL_SCRIPT, "boot", ...imageCommand] : [boot, "-c", PYTHON_SCRIPT, ...imageCommand];
}

/**
 * Finds an interpreter that can check for /app/boot.py in a container, running or not.
 * @returns its path, or `NO_INTERPRETER`: the value for `boot` in the spec
 */
export async function findBootInterpreter(engine: Engine, id: string): Promise<string> {
  for (const path of [SHELL_PATH, ...PYTHON_PATHS]) if (await hasFile(engine, id, path)) return path;
  return NO_INTERPRETER;
}

async function hasFile(engine: Engine, id: string, path: string): Promise<boolean> {
  try {
    await engine.call((docker) => docker.getContainer(id).infoArchive({ path }));
    return true;
  } catch (error) {
    if (isNotFound(error)) return false;
    throw error;
  }
}

/**
 * Makes a container's user the owner of its /app folder: a new volume belongs to root.
 * @param user uid:gid
 */
export async function chownAppFolder(engine: Engine, id: string, user: string): Promise<void> {
  const [uid, gid] = user.split(":").map(Number);
  const tar = pack();
  tar.entry({ name: `${APP_FOLDER.slice(1)}/`, type: "directory", mode: APP_FOLDER_MODE, ...ownerFields({ uid, gid }) });
  tar.finalize();
  const body = Readable.from(tar);
  await engine.send(body, (docker) => docker.getContainer(id).putArchive(body, { path: "/" }), "call");
}
