import path from "node:path";

/**
 * Engines by the names that the tests use: `20.10` is the `dockerd` of this machine, which is 20.10 on Debian 12; `28` comes from a root
 * folder of a later Debian that `set-up.sh` makes; `28-containerd` is the same with the containerd image store.
 */
export const ENGINE_KINDS = ["20.10", "28", "28-containerd"] as const;
export type EngineKind = (typeof ENGINE_KINDS)[number];

/** Made by `install_engine_root` of packages.sh. */
const ROOT = "/var/lib/docker-server-engines/28";

const inRoot = [path.join(__dirname, "engine-root.sh"), ROOT, "dockerd"];

/** The command that starts an engine of a kind, with the arguments that make it that kind. */
export function dockerdCommand(kind: EngineKind): string[] {
  if (kind === "20.10") return ["dockerd"];
  return kind === "28" ? inRoot : [...inRoot, "--feature", "containerd-snapshotter=true"];
}

/** Reads a list of kinds such as `20.10,28`. Throws an Error that names the known kinds. */
export function parseEngineKinds(list: string): EngineKind[] {
  return list.split(",").map((word) => {
    const kind = ENGINE_KINDS.find((known) => known === word.trim());
    if (!kind) throw new Error(`unknown engine "${word}"; known are ${ENGINE_KINDS.join(", ")}`);
    return kind;
  });
}
