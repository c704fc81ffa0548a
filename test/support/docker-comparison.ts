import { randomUUID } from "node:crypto";
import { DOCKER_CLIS } from "../../scripts/engine-kind";
import { cliFolder, type DockerCommand, dockerAt, normalized } from "./docker-commands";

/** Commands that follow one another, each run on an engine and on a pool with names of their own. */
const COMPARED_COMMANDS: DockerCommand[] = [
  { args: "run --name NAME busybox echo hello" },
  { args: "logs NAME" },
  { args: "logs --tail 1 --timestamps NAME" },
  { args: "logs -f --since 10m NAME" },
  { args: "ps -a --filter name=NAME --format '{{.Names}} {{.Image}} {{.Command}} {{.State}}'" },
  { args: "start NAME" },
  { args: "wait NAME" },
  { args: "inspect --format '{{.State.ExitCode}} {{.Config.Image}}' NAME" },
  { args: "diff NAME" },
  { args: "commit NAME img-NAME:1", varies: true },
  { args: "images --format '{{.Repository}}:{{.Tag}}' img-NAME" },
  { args: "history --format '{{.CreatedBy}}' img-NAME:1" },
  { args: "tag img-NAME:1 img-NAME:2" },
  { args: "rmi img-NAME:1 img-NAME:2", varies: true },
  { args: "rename NAME NAME-b" },
  { args: "rename NAME-b NAME" },
  { args: "rm NAME" },
  { args: "rm NAME" },
  { args: "run --rm -i busybox cat", input: "piped\n" },
  { args: "run --rm -i busybox sh -c 'cat; echo after; exit 7'", input: "to the end" },
  { args: "run --rm -it busybox sh -c 'tty; until stty size 2> /dev/null | grep \"33 101\"; do :; done'", terminal: true },
  { args: "run --rm busybox nosuch" },
  { args: "run --rm --privileged=false busybox sh -c 'echo out; echo err >&2; exit 3'" },
  { args: "run -d --name NAME --stop-timeout 1 busybox sh -c 'trap exit TERM; while :; do sleep 0.1; done'" },
  { args: "run -d --name NAME busybox true" },
  { args: "exec NAME echo in" },
  { args: "exec -i NAME cat", input: "into exec\n" },
  { args: "exec -it NAME tty", terminal: true },
  { args: "exec -it NAME sh -c 'until stty size 2> /dev/null | grep \"33 101\"; do :; done'", terminal: true },
  { args: "exec -d NAME touch /made" },
  { args: "exec NAME sh -c 'exit 5'" },
  { args: "exec -e A=1 -w /tmp NAME sh -c 'echo $A; pwd'" },
  { args: "top NAME", varies: true },
  { args: "top NAME -o args" },
  { args: "run -dit --name NAME-tty busybox sh" },
  { args: "attach --detach-keys a NAME-tty", input: "a", terminal: true, varies: true },
  { args: "inspect --format '{{.State.Running}}' NAME-tty" },
  { args: "rm -f NAME-tty" },
  { args: "stats --no-stream --format '{{.Name}}' NAME" },
  { args: "port NAME" },
  { args: `cp ${__filename} NAME:/tmp/` },
  { args: "exec NAME wc -l /tmp/docker-comparison.ts" },
  { args: "cp NAME:/tmp/docker-comparison.ts -", varies: true },
  { args: "cp NAME:/nosuch /tmp/x" },
  { args: "update --memory 64m --memory-swap 64m NAME" },
  { args: "pause NAME" },
  { args: "unpause NAME" },
  { args: "restart -t 1 NAME" },
  { args: "kill -s USR2 NAME" },
  { args: "export -o /dev/null NAME" },
  { args: "stop NAME" },
  { args: "stop NAME" },
  { args: "ps --filter status=running --filter name=NAME -q" },
  { args: "ps -a --filter exited=0 --filter name=NAME --format '{{.Names}}'" },
  { args: "ps -a --filter ancestor=busybox --filter label=none --format '{{.Names}}'" },
  { args: "ps -a --filter name=NAME --filter before=NAME -q" },
  { args: "ps -a --filter name=NAME --filter since=NAME -q" },
  { args: "ps -a --filter name=NAME --filter since=nosuch" },
  { args: "ps -a --filter name=NAME --filter health=none --format '{{.Names}}'" },
  { args: "ps -a --filter name=NAME --filter network=bridge --format '{{.Names}} {{.Networks}}'" },
  { args: "ps -a --filter name=NAME --filter volume=/data -q" },
  { args: "ps -a --filter name=NAME --filter expose=80 -q" },
  { args: "ps -a --filter name=NAME --filter publish=80 -q" },
  { args: "ps -a --filter name=NAME --filter is-task=true -q" },
  { args: "ps -a --filter name=NAME --filter label=key=value -q" },
  { args: "ps -a --filter name=NAME --size --format '{{.Size}}'", varies: true },
  { args: "ps -a --filter nosuch=1" },
  { args: "ps -a --filter status=bogus" },
  { args: "events --since 1m --until=-1s --filter container=NAME --filter event=rename --format '{{.Action}}'" },
  { args: "start NAME" },
  { args: "run -d --name NAME-linked --link NAME:alias busybox sleep 100" },
  { args: "rm --link NAME-linked/alias" },
  { args: "inspect --format '{{.HostConfig.Links}}' NAME-linked" },
  { args: "rm -f NAME-linked" },
  { args: "kill NAME" },
  { args: "wait NAME" },
  { args: "rm -f NAME" },
  { args: "inspect NAME" },
  { args: "logs NAME" },
  { args: "network create NAME" },
  { args: "network ls --filter name=NAME --format '{{.Name}} {{.Driver}}'" },
  { args: "run -d --name NAME --network NAME --network-alias al busybox sleep 100" },
  { args: "run --rm --network NAME busybox nslookup -type=a al", varies: true },
  { args: "network inspect --format '{{range .Containers}}{{.Name}}{{end}}' NAME" },
  { args: "network disconnect NAME NAME" },
  { args: "network connect NAME NAME" },
  { args: "rm -f NAME" },
  { args: "network rm NAME" },
  { args: "network rm NAME" },
  { args: "network create NAME --driver macvlan", varies: true },
  { args: "network rm NAME", varies: true },
  { args: "volume create NAME" },
  { args: "volume create NAME" },
  { args: "run --rm -v NAME:/data busybox sh -c 'echo kept > /data/f'" },
  { args: "run --rm -v NAME:/data:ro busybox cat /data/f" },
  { args: "volume ls --filter name=NAME --format '{{.Name}}'" },
  { args: "volume inspect --format '{{.Driver}}' NAME" },
  { args: "volume rm NAME" },
  { args: "volume rm NAME" },
  { args: "image inspect --format '{{.Os}}' busybox" },
  { args: "image inspect nosuch:1" },
  {
    args: "build --no-cache -t img-NAME:3 --add-host one:10.0.0.1 --add-host two:10.0.0.2 -",
    input: "FROM busybox\nRUN grep -c -e one -e two /etc/hosts > /f\nCMD cat /f\n",
  },
  { args: "run --rm img-NAME:3" },
  { args: `save -o ${cliFolder}/save-NAME.tar img-NAME:3` },
  { args: "rmi img-NAME:3", varies: true },
  { args: `load -i ${cliFolder}/save-NAME.tar` },
  { args: "rmi img-NAME:3", varies: true },
  { args: "create --name NAME busybox true", varies: true },
  { args: "rm NAME" },
  { args: "system df --format '{{.Type}}'" },
  { args: "container prune -f", varies: true },
  { args: "network prune -f", varies: true },
  { args: "volume prune -f", varies: true },
  { args: "image prune -f", varies: true },
  { args: "info --format '{{.OSType}} {{.Architecture}} {{.Swarm.LocalNodeState}}'" },
  { args: "info --format '{{.NCPU}}'", ofOneNode: true },
  { args: "version --format '{{.Server.APIVersion}}'" },
  { args: "service ls" },
  { args: "plugin ls", varies: true },
];

/**
 * The versions and programs of the docker CLI that a suite compares: those of TEST_DOCKER_CLIS, which is such as `20.10,28`.
 * @param byDefault the only one otherwise: each costs half a minute
 */
function comparedClis(byDefault: keyof typeof DOCKER_CLIS): [version: string, cli: string][] {
  const chosen = process.env.TEST_DOCKER_CLIS?.split(",") ?? [byDefault];
  const known = Object.entries(DOCKER_CLIS);
  const unknown = chosen.find((version) => !(version in DOCKER_CLIS));
  if (unknown !== undefined) throw new Error(`unknown docker CLI "${unknown}"; known are ${known.map(([version]) => version).join(", ")}`);
  return known.filter(([version]) => chosen.includes(version));
}

/** A way to the containers of an engine. */
interface Way {
  host: string;
  /** stands for NAME in the commands */
  name: string;
}

/**
 * Runs a command in both ways, by a docker CLI: at a time unless it prunes, since an engine takes one of these at a time.
 * @returns of both the exit code, and the output unless it varies
 */
async function runBoth(cli: string, command: DockerCommand, direct: Way, pooled: Way): Promise<[object, object]> {
  const runOne = async ({ host, name }: Way) => {
    const { code, stdout, stderr } = await dockerAt(host, command, name, { cli });
    return command.varies ? { code } : { code, stdout: normalized(stdout, name), stderr: normalized(stderr, name) };
  };
  if (command.args.includes(" prune ")) return [await runOne(direct), await runOne(pooled)];
  return Promise.all([runOne(direct), runOne(pooled)]);
}

/** Addresses for DOCKER_HOST. */
interface ComparedHosts {
  engine: string;
  pool: string;
}

/**
 * Declares a test for each command: it does the same on an engine and on a pool.
 * @param title of the group; `%s` stands for the version of the CLI
 * @param hosts called in the tests
 * @param options.nodes of the pool
 */
export function testComparedCommands(title: string, hosts: () => ComparedHosts, { nodes }: { nodes: number }): void {
  describe.each(comparedClis("28"))(title, (_version, cli) => {
    const tag = randomUUID().slice(0, 6);
    const commands = COMPARED_COMMANDS.filter(({ ofOneNode }) => nodes === 1 || !ofOneNode);

    test.each(commands)("docker $args does the same as on the engine", async (command) => {
      const { engine, pool } = hosts();
      const direct = { host: engine, name: `direct-${tag}` };
      const [onEngine, onPool] = await runBoth(cli, command, direct, { host: pool, name: `pooled-${tag}` });
      expect(onPool).toEqual(onEngine);
    });
  });
}
