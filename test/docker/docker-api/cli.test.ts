import { randomUUID } from "node:crypto";
import path from "node:path";
import { type DockerCommand, dockerAt, normalized } from "../../support/docker-commands";
import { type OneNode, startNode } from "../../support/single-node";

let node: OneNode;
let pool: string;
const tag = randomUUID().slice(0, 6);

beforeAll(async () => {
  const socket = `/tmp/docker-server-${tag}.sock`;
  node = await startNode({ name: "docker-cli", args: [`--docker_listen=unix://${socket}`] });
  pool = `unix://${socket}`;
});

afterAll(() => node?.stop());

const folder = path.join(__dirname);

const COMMANDS: DockerCommand[] = [
  { args: "run --name NAME busybox echo hello" },
  { args: "logs NAME" },
  { args: "logs --tail 1 --timestamps NAME" },
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
  { args: "run --rm -it busybox sh -c 'tty; stty size'", terminal: true },
  { args: "run --rm busybox nosuch" },
  { args: "run --rm --privileged=false busybox sh -c 'echo out; echo err >&2; exit 3'" },
  { args: "run -d --name NAME --stop-timeout 1 busybox sh -c 'trap exit TERM; while :; do sleep 0.1; done'" },
  { args: "run -d --name NAME busybox true" },
  { args: "exec NAME echo in" },
  { args: "exec -i NAME cat", input: "into exec\n" },
  { args: "exec -it NAME tty", terminal: true },
  { args: "exec -d NAME touch /made" },
  { args: "exec NAME sh -c 'exit 5'" },
  { args: "exec -e A=1 -w /tmp NAME sh -c 'echo $A; pwd'" },
  { args: "top NAME", varies: true },
  { args: "stats --no-stream --format '{{.Name}}' NAME" },
  { args: "port NAME" },
  { args: `cp ${folder}/cli.test.ts NAME:/tmp/` },
  { args: "exec NAME wc -l /tmp/cli.test.ts" },
  { args: "cp NAME:/tmp/cli.test.ts -", varies: true },
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
  { args: "ps -a --filter status=bogus" },
  { args: "events --since 1m --until=-1s --filter container=NAME --filter event=rename --format '{{.Action}}'" },
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
  { args: "save -o /tmp/save-NAME.tar busybox" },
  { args: "load -i /tmp/save-NAME.tar" },
  { args: "image inspect --format '{{.Os}}' busybox" },
  { args: "image inspect nosuch:1" },
  { args: "create --name NAME busybox true", varies: true },
  { args: "rm NAME" },
  { args: "system df --format '{{.Type}}'" },
  { args: "container prune -f", varies: true },
  { args: "network prune -f", varies: true },
  { args: "volume prune -f", varies: true },
  { args: "image prune -f", varies: true },
  { args: "info --format '{{.OSType}} {{.NCPU}} {{.Swarm.LocalNodeState}}'" },
  { args: "version --format '{{.Server.APIVersion}}'" },
  { args: "service ls" },
  { args: "plugin ls", varies: true },
];

test.each(COMMANDS)("docker $args does the same as on the engine", async (command) => {
  const [direct, pooled] = await Promise.all([
    dockerAt(node.engine.dockerHost, command, `direct-${tag}`),
    dockerAt(pool, command, `pooled-${tag}`),
  ]);
  const result = ({ code, stdout, stderr }: typeof direct, name: string) => ({
    code,
    ...(command.varies ? {} : { stdout: normalized(stdout, name), stderr: normalized(stderr, name) }),
  });
  expect(result(pooled, `pooled-${tag}`)).toEqual(result(direct, `direct-${tag}`));
});
