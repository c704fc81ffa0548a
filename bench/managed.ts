import { composeDocument } from "../lib/managed/compose-document";
import { newCuid } from "../lib/managed/cuid";
import type { ManagedSpec } from "../lib/managed/managed-spec";
import type { Bed } from "./bed";
import { type Comparison, compareTimes, type Side, type Task } from "./compare";

const ROUNDS = 16;
const COMMAND = ["sleep", "600"];
const TARGET = { against: "cli", ratio: 1.15 } as const;
const SPEC: ManagedSpec = { image: "busybox", env: {}, tags: [], resources: {}, ports: [], command: COMMAND, labels: {}, boot: "" };

/** Creates, changes and starts a managed container, compared with Docker Compose and with the minimal calls of the Engine API. */
export async function benchManaged(bed: Bed): Promise<Comparison[]> {
  const sides: Record<Side, Project> = { ours: viaServer(bed), raw: viaEngineApi(bed), cli: viaCompose(bed) };
  const compare = (title: string, prepare: (project: Project, cuid: string) => Promise<unknown>, work: typeof prepare) => {
    const task = (project: Project): Task<string> => ({
      async prepare() {
        const cuid = newCuid();
        await prepare(project, cuid);
        return cuid;
      },
      work: (cuid) => work(project, cuid),
      async cleanUp(cuid) {
        await bed.raw.ask("DELETE", `/containers/${cuid}?force=1`);
        await bed.raw.ask("DELETE", `/volumes/${cuid}`);
      },
    });
    return compareTimes(title, ROUNDS, { ours: task(sides.ours), raw: task(sides.raw), cli: task(sides.cli) }, TARGET);
  };
  const create = (project: Project, cuid: string) => project.create(cuid);
  return [
    await compare("managed: create", async () => undefined, create),
    await compare("managed: change", create, (project, cuid) => project.change(cuid)),
    await compare("managed: start", create, (project, cuid) => project.start(cuid)),
  ];
}

/** The three operations: create with a volume of the container's name, change the environment, start. */
interface Project {
  create(cuid: string): Promise<unknown>;
  change(cuid: string): Promise<unknown>;
  start(cuid: string): Promise<unknown>;
}

const CHANGE = { COLOR: "blue" };

function viaServer({ ours: client }: Bed): Project {
  return {
    create: (cuid) => client.ask("POST", "/containers", { image: "busybox", command: COMMAND, cuid }),
    change: (cuid) => client.ask("PATCH", `/containers/${cuid}`, { env: CHANGE }),
    start: (cuid) => client.ask("POST", `/containers/${cuid}/start`),
  };
}

function viaEngineApi({ raw: client }: Bed): Project {
  const make = (cuid: string, env: string[]) => {
    const options = { Image: "busybox", Cmd: COMMAND, Env: env, HostConfig: { Binds: [`${cuid}:/app`] } };
    return client.ask("POST", `/containers/create?name=${cuid}`, options);
  };
  return {
    create: (cuid) => make(cuid, []),
    async change(cuid) {
      await client.ask("DELETE", `/containers/${cuid}`);
      await make(cuid, ["COLOR=blue"]);
    },
    start: (cuid) => client.ask("POST", `/containers/${cuid}/start`),
  };
}

/** Calls Compose with the document that this server would give it. */
function viaCompose({ engine }: Bed): Project {
  const compose = async (cuid: string, env: Record<string, string>, ...command: string[]) => {
    const document = composeDocument(cuid, { ...SPEC, env }, { entrypoint: [], user: undefined, resume: false, imageLabels: [] });
    const { code, stderr } = await engine.docker(["compose", "--project-name", cuid, "--file", "-", ...command], document);
    if (code !== 0) throw new Error(`docker compose ${command.join(" ")}: ${stderr}`);
  };
  return {
    create: (cuid) => compose(cuid, {}, "up", "--no-start"),
    change: (cuid) => compose(cuid, CHANGE, "up", "--no-start"),
    start: (cuid) => compose(cuid, {}, "start"),
  };
}
