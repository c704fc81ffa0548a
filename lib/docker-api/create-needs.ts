import type { MakePlan } from "../cluster/routing/where";
import type { Needs } from "../cluster/scheduling/bid";
import type { CreateBody } from "./bodies/create-body";

/** What every bid is asked for, unless a container says more. */
export const NO_NEEDS: Needs = { image: "none", pull: "always", ports: [], volumes: [], memory: 0, cpus: 0, slot: false };

/** A plan of what is not a container. @param nodes that can take it; undefined: any */
export function planOf(nodes: readonly string[] | undefined): MakePlan {
  return (body) => ({ name: "", body, needs: NO_NEEDS, doneWhenCreated: true, ...(nodes && { nodes }) });
}

/**
 * A plan of a container.
 * @param name that its engine is asked to give it; "" lets the engine choose one
 * @param givenName the client's, if it gave one
 * @param nodes that can take it; undefined: any
 */
export function containerPlan(name: string, givenName: string | undefined, nodes: readonly string[] | undefined): MakePlan {
  return (body) => ({ name, givenName, body, needs: needsOf(body as CreateBody, nodes), doneWhenCreated: true, ...(nodes && { nodes }) });
}

/**
 * What a node must have and keep free for a container. Of a node that alone can take it nothing is asked, as an engine asks for it at the
 * start only: Compose creates a container before it removes the one whose ports and memory it gets.
 * @param nodes that can take it; undefined: any
 */
function needsOf({ Image, HostConfig }: CreateBody, nodes: readonly string[] | undefined): Needs {
  if (nodes?.length === 1) return NO_NEEDS;
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
