import type { HostFacts } from "./cluster/cluster";
import type { DockerHost } from "./docker/docker-host";
import { COMPOSE_MISSING_HINT } from "./managed/compose";
import type { ManagedContainers } from "./managed/managed-containers";
import type { RunHost } from "./runs/run-host";

/** This host's Docker as the cluster sees it: lib/cluster imports nothing that talks to Docker. */
export function hostFacts(
  { engine, containers, confinement, names, quotas, inventory, cliCheck }: DockerHost,
  { slots }: RunHost,
  { compose }: ManagedContainers,
): HostFacts {
  let engineId: string | undefined;
  return {
    find: (id, labels) => (labels ? confinement.findMatches(id, labels) : containers.findMatches(id)),
    list: () => containers.read(),
    onChange: (listener) => containers.onChange(listener),
    onNameGiven: (listener) => containers.onNameGiven(listener),
    followsNames: () => containers.followsNames,
    answerName: (name, claim, late) => names.answer(name, claim, late),
    countUse: (labels) => quotas.count(labels),
    holdsVolume: (name, labels) => (labels ? confinement.hasVolume(name, labels) : inventory.hasVolumes([name])),
    inventory: async (needs) => {
      const known = await inventory.read(needs);
      // Jobs and code runs need the CLI for the pull alone.
      const needsCli = !needs.slot || !known.hasImage || needs.pull === "always";
      const lacksCompose = needs.compose === true && (await compose.version()) === null;
      const missingRequirement = (needsCli ? cliCheck.problem : undefined) ?? (lacksCompose ? COMPOSE_MISSING_HINT : undefined);
      return missingRequirement === undefined ? known : { ...known, missingRequirement };
    },
    runs: () => ({ running: slots.inUse, waiting: slots.waiting }),
    async state() {
      const { containers: all } = await containers.read();
      const { Version } = await engine.call((docker) => docker.version());
      engineId ??= ((await engine.call((docker) => docker.info())) as { ID: string }).ID;
      return { docker: Version, engineId, containers: all.length };
    },
    async withVolume(name, use) {
      await engine.createVolume({ Name: name }, "call");
      await use().finally(() => engine.call((docker) => docker.getVolume(name).remove()));
    },
  };
}
