import type { Access } from "../../access/access";
import type { Confinement } from "../../docker/containers/confinement";
import { isMadeNetwork } from "../../docker/engine-networks";
import { affinitiesOf } from "./affinities";
import type { CreateBody } from "./create-body";

/**
 * The body as a token's labels let it be created: with the ids of the containers and networks whose names it has, so that what was
 * checked is what is created. To be called on the node that creates it, where its image is.
 * @returns the body, and the named volumes, which `ensureVolumes` must create before the container and `assertMade` checks afterwards
 * @throws AppError CONTAINER_NOT_FOUND, INVALID_SPEC for another's container or network
 */
export async function confineCreate(
  body: CreateBody,
  confinement: Confinement,
  access: Access,
): Promise<{ body: CreateBody; volumes: string[] }> {
  const { labels } = access;
  if (!labels) return { body, volumes: [] };
  const { HostConfig, NetworkingConfig } = body;
  const containerId = (name: string) => confinement.containerId(name.replace(/^\//, ""), labels, { prefix: true });
  const namespace = async (mode: string | null | undefined) => {
    const [, name] = /^container:(.*)$/.exec(mode ?? "") ?? [];
    return name === undefined ? (mode ?? null) : `container:${await containerId(name)}`;
  };
  const network = async (name: string) => (isMadeNetwork(name) ? confinement.networkId(name, labels) : name);
  /** Replaces the name before the first colon. */
  const referring = (texts: readonly string[] | null | undefined, isLink: boolean) =>
    Promise.all(
      (texts ?? []).map(async (text) => {
        const [name = "", ...rest] = text.split(":");
        const suffix = isLink && rest.length === 0 ? [name.replace(/^\//, "")] : rest;
        return [await containerId(name), ...suffix].join(":");
      }),
    );
  const endpoints = await Promise.all(
    Object.entries(NetworkingConfig?.EndpointsConfig ?? {}).map(async ([name, endpoint]) => [
      await network(name),
      endpoint && { ...endpoint, Links: await referring(endpoint.Links, true) },
    ]),
  );
  const confined: CreateBody = {
    ...body,
    Labels: { ...(await confinement.labelsToClear(body.Image)), ...body.Labels },
    HostConfig: {
      ...HostConfig,
      NetworkMode: await namespace(await network(HostConfig.NetworkMode ?? "")),
      PidMode: await namespace(HostConfig.PidMode),
      IpcMode: await namespace(HostConfig.IpcMode),
      VolumesFrom: await referring(HostConfig.VolumesFrom, false),
      Links: await referring(HostConfig.Links, true),
    },
    NetworkingConfig: { EndpointsConfig: Object.fromEntries(endpoints) },
  };
  return { body: confined, volumes: affinitiesOf(body).volumes };
}
