import type { MakePlan } from "../cluster/routing/where";
import type { Needs } from "../cluster/scheduling/bid";
import type { CreateBody } from "./bodies/create-body";

/** What every bid is asked for, unless a container says more. */
export const NO_NEEDS: Needs = { image: "none", pull: "always", ports: [], volumes: [], memory: 0, cpus: 0, slot: false };

/** A plan of what is not a container. @param nodes that can take it; undefined: any */
export function planOf(nodes: readonly string[] | undefined): MakePlan {
  return (body) => ({ name: "", body, needs: NO_NEEDS, doneWhenCreated: true, ...(nodes && { nodes }) });
}

/** What a node must have and keep free for a container. */
export function needsOf({ Image, HostConfig }: CreateBody): Needs {
  const { PortBindings, Memory, NanoCpus } = HostConfig;
  const bound = Object.entries(PortBindings ?? {}).flatMap(([port, list]) =>
    (list ?? []).flatMap(({ HostIp, HostPort }) =>
      /^[1-9]\d*$/.test(HostPort ?? "") ? [{ HostIp: HostIp ?? "", port: `${HostPort}/${port.split("/")[1] ?? "tcp"}` }] : [],
    ),
  );
  return {
    ...NO_NEEDS,
    image: Image,
    ports: bound.map(({ port }) => port),
    bindings: bound.map(({ HostIp, port }) => `${HostIp}:${port}`),
    memory: Math.max(0, Memory ?? 0),
    cpus: Math.max(0, NanoCpus ?? 0) / 1e9,
  };
}
