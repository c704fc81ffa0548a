import type { Logger } from "../support/logger";
import { CliCheck } from "./cli/cli-check";
import { type DockerCli, dockerCli } from "./cli/docker-cli";
import { Confinement } from "./containers/confinement";
import { ContainerList } from "./containers/container-list";
import { Lifecycle } from "./containers/lifecycle";
import { ContainerLogs } from "./containers/logs";
import { NameClaims } from "./create/name-claims";
import { ENGINE_SOCKETS, type Policy } from "./create/policy";
import { PolicyGuard } from "./create/policy-guard";
import { Quotas } from "./create/quotas";
import { Runner } from "./create/runner";
import { type EndpointSettings, resolveEndpoint } from "./endpoint";
import { Engine } from "./engine";
import { HostInventory } from "./host-inventory";
import { ImagePruner } from "./images/image-prune";
import { Images } from "./images/images";
import { RawEngine } from "./raw-engine";

export interface DockerSettings extends EndpointSettings {
  /** seconds */
  docker_read_timeout: number;
  /** seconds */
  docker_write_timeout: number;
  allow: string[];
  bind_roots: string[];
  /** paths of further sockets that give control of the host: this server's own */
  sockets: string[];
}

/** Everything the routes use of this host's Docker. */
export interface DockerHost {
  engine: Engine;
  /** for requests whose responses clients get as the engine wrote them */
  rawEngine: RawEngine;
  cli: DockerCli;
  cliCheck: CliCheck;
  images: Images;
  imagePruner: ImagePruner;
  containers: ContainerList;
  /** what the labels of a token confine it to */
  confinement: Confinement;
  /** what makes each name unique */
  names: NameClaims;
  /** what the `max` of a token leaves it */
  quotas: Quotas;
  logs: ContainerLogs;
  runner: Runner;
  lifecycle: Lifecycle;
  inventory: HostInventory;
  /** which parts of this host containers may be given */
  policy: Policy;
  guard: PolicyGuard;
}

/**
 * Creates the parts; the engine need not answer yet.
 * @param nodeName of this node
 * @throws Error if the address of the engine is invalid, or its context or certificates can't be read
 */
export async function openDocker(settings: DockerSettings, nodeName: string, log: Logger): Promise<DockerHost> {
  const endpoint = await resolveEndpoint(settings);
  const { docker_read_timeout, docker_write_timeout } = settings;
  const engine = new Engine(endpoint, Math.ceil(docker_read_timeout * 1000), Math.ceil(docker_write_timeout * 1000));
  const cli = dockerCli(endpoint);
  const images = new Images(engine, cli);
  const imagePruner = new ImagePruner(engine, images, log);
  const containers = new ContainerList(engine, nodeName, log);
  const sockets = [...ENGINE_SOCKETS, ...(endpoint.socket ? [endpoint.socket] : []), ...settings.sockets];
  const policy = { allow: settings.allow, bindRoots: settings.bind_roots, sockets };
  const guard = new PolicyGuard(engine, policy);
  const confinement = new Confinement(engine, containers);
  const inventory = new HostInventory(engine, containers, images);
  const names = new NameClaims(containers);
  const quotas = new Quotas(nodeName, containers, confinement, inventory);
  const runner = new Runner(engine, cli, images, containers, confinement, guard, names, quotas, log);
  const lifecycle = new Lifecycle(engine, containers, guard, names);
  return {
    engine,
    rawEngine: new RawEngine(endpoint, engine),
    cli,
    cliCheck: new CliCheck(engine, cli, log),
    images,
    imagePruner,
    containers,
    confinement,
    names,
    quotas,
    logs: new ContainerLogs(engine),
    runner,
    lifecycle,
    inventory,
    policy,
    guard,
  };
}
