import path from "node:path";

/**
 * Engines by the names that the tests use: `20.10` is the `dockerd` of this machine, which is 20.10 on Debian 12; `28` comes from a root
 * folder of a later Debian that `set-up.sh` makes; `28-containerd` is the same with the containerd image store; `podman` is Podman's
 * Docker-compatible API, from a root folder of its own (`set-up.sh engines`).
 */
export const DOCKER_KINDS = ["20.10", "28", "28-containerd"] as const;
export const ENGINE_KINDS = [...DOCKER_KINDS, "podman"] as const;
export type EngineKind = (typeof ENGINE_KINDS)[number];

/** Made by `install_engine_root` of packages.sh. */
const ROOTS = "/var/lib/docker-server-engines";

const script = (name: string) => path.join(__dirname, name);

/** What an engine of the bed is started with. */
export interface EngineSettings {
  /** Holds its data, and its process id in `docker.pid`. */
  folder: string;
  /** Path of its API socket. */
  socket: string;
  cgroup: string;
  /** Registries at these addresses are asked over HTTP. */
  subnet: string;
  /** The address of the subnet at which the registries are. */
  gateway: string;
  /** Further arguments of dockerd. Podman has none of these options. */
  args: string[];
}

/** The command that starts an engine of a kind. */
export function engineCommand(kind: EngineKind, { folder, socket, cgroup, subnet, gateway, args }: EngineSettings): string[] {
  // Podman takes no subnet: registries of the bed are at its gateway's address.
  if (kind === "podman") return [script("podman-service.sh"), path.join(ROOTS, "podman"), folder, socket, gateway];
  const dockerd = kind === "20.10" ? ["dockerd"] : [script("engine-root.sh"), path.join(ROOTS, "28"), "dockerd"];
  return [
    dockerd,
    kind === "28-containerd" ? ["--feature", "containerd-snapshotter=true"] : [],
    ["--config-file", path.join(folder, "daemon.json")],
    ["--data-root", path.join(folder, "data")],
    ["--exec-root", path.join(folder, "exec")],
    ["--pidfile", path.join(folder, "docker.pid")],
    ["--host", `unix://${socket}`],
    ["--exec-opt", "native.cgroupdriver=cgroupfs"],
    ["--cgroup-parent", cgroup],
    ["--insecure-registry", subnet],
    args,
  ].flat();
}

/** The docker commands of these engines. */
export const DOCKER_CLIS = { "20.10": "/usr/bin/docker", "28": path.join(ROOTS, "28/usr/bin/docker") };

/** Reads a list of kinds such as `20.10,28`. Throws an Error that names the known kinds. */
export function parseEngineKinds(list: string): EngineKind[] {
  return list.split(",").map((word) => {
    const kind = ENGINE_KINDS.find((known) => known === word.trim());
    if (!kind) throw new Error(`unknown engine "${word}"; known are ${ENGINE_KINDS.join(", ")}`);
    return kind;
  });
}
