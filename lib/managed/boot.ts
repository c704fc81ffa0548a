import type { Engine } from "../docker/engine";
import { AppError } from "../errors";
import { APP_FOLDER } from "./compose-document";
import type { ManagedSpec } from "./managed-spec";

/** Where a shell is, on every system that has one. */
export const SHELL = "/bin/sh";
const PYTHONS = ["/usr/local/bin/python3", "/usr/bin/python3"];
/** What an image has that can look for /app/boot.py at a start: neither. */
const NONE = "";

const BOOT = `${APP_FOLDER}/boot.py`;
const REQUIREMENTS = `${APP_FOLDER}/requirements.txt`;

const IN_SHELL = `
if [ -f ${BOOT} ]; then
  python=$(command -v python3 || command -v python) || { echo "${BOOT} is there, but this image has no python" >&2; exit 127; }
  cd ${APP_FOLDER}
  if [ -f ${REQUIREMENTS} ] && "$python" -m pip --version >/dev/null 2>&1; then
    "$python" -m pip install --disable-pip-version-check --no-input -r ${REQUIREMENTS} || exit
  fi
  exec "$python" -u ${BOOT}
fi
[ $# -gt 0 ] || { echo "There is neither ${BOOT} nor a command of the image" >&2; exit 127; }
exec "$@"
`;

const IN_PYTHON = `
import importlib.util, os, subprocess, sys
if os.path.isfile("${BOOT}"):
    os.chdir("${APP_FOLDER}")
    if os.path.isfile("${REQUIREMENTS}") and importlib.util.find_spec("pip"):
        done = subprocess.call([sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "-r", "${REQUIREMENTS}"])
        if done: sys.exit(done)
    os.execv(sys.executable, [sys.executable, "-u", "${BOOT}"])
if len(sys.argv) < 2: sys.exit("There is neither ${BOOT} nor a command of the image")
os.execvp(sys.argv[1], sys.argv[1:])
`;

/**
 * What a managed container runs: at each start /app/boot.py, if it is there by then, else what its image says. Who looks is a shell of
 * the image, else its Python; where there is neither, or a command is given, nobody looks.
 * @param own the image's entrypoint and command
 */
export function entryOf({ command, boot }: ManagedSpec, own: readonly string[]): string[] {
  if (command !== undefined || boot === NONE) return [];
  return boot === SHELL ? [boot, "-c", IN_SHELL, "boot", ...own] : [boot, "-c", IN_PYTHON, ...own];
}

/**
 * Finds out who can look for /app/boot.py in a container, which need not run.
 * @returns what `boot` of its spec is to be
 */
export async function bootOf(engine: Engine, id: string): Promise<string> {
  for (const path of [SHELL, ...PYTHONS]) if (await holds(engine, id, path)) return path;
  return NONE;
}

async function holds(engine: Engine, id: string, path: string): Promise<boolean> {
  try {
    await engine.call((docker, abortSignal) => docker.getContainer(id).infoArchive({ path, abortSignal }));
    return true;
  } catch (error) {
    if (error instanceof AppError && error.kind === "not_found") return false;
    throw error;
  }
}
