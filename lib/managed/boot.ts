import type { Engine } from "../docker/engine";
import { isNotFound } from "../errors";
import { APP_FOLDER } from "./compose-document";
import type { ManagedSpec } from "./managed-spec";

/** Where a shell is, on every system that has one. */
export const SHELL_PATH = "/bin/sh";
const PYTHON_PATHS = ["/usr/local/bin/python3", "/usr/bin/python3"];
/** What an image has that can look for /app/boot.py at a start: neither. */
const NO_INTERPRETER = "";

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
 * What a managed container runs: at each start /app/boot.py, if it is there by then, else what its image says. Who looks is a shell of
 * the image, else its Python; where there is neither, or a command is given, nobody looks.
 * @param own the image's entrypoint and command
 */
export function bootEntrypoint({ command, boot }: ManagedSpec, own: readonly string[]): string[] {
  if (command !== undefined || boot === NO_INTERPRETER) return [];
  return boot === SHELL_PATH ? [boot, "-c", SHELL_SCRIPT, "boot", ...own] : [boot, "-c", PYTHON_SCRIPT, ...own];
}

/**
 * Finds out who can look for /app/boot.py in a container, which need not run.
 * @returns what `boot` of its spec is to be
 */
export async function findBootInterpreter(engine: Engine, id: string): Promise<string> {
  for (const path of [SHELL_PATH, ...PYTHON_PATHS]) if (await hasFile(engine, id, path)) return path;
  return NO_INTERPRETER;
}

async function hasFile(engine: Engine, id: string, path: string): Promise<boolean> {
  try {
    await engine.call((docker, abortSignal) => docker.getContainer(id).infoArchive({ path, abortSignal }));
    return true;
  } catch (error) {
    if (isNotFound(error)) return false;
    throw error;
  }
}
