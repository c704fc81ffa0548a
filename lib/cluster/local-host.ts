import type { NodeUse } from "../access/quota";

/** The fields of a listed container that the cluster reads. `find` returns all of them: a repeated request is answered from them. */
export interface Found {
  id: string;
  name: string;
  state: string;
  labels: Record<string, string>;
}

/** Whether it was started, ended since or not: a container that is only created, or being removed, may not exist the next moment. */
export function wasStarted({ state }: Found): boolean {
  return state !== "created" && state !== "removing" && state !== "dead";
}

/** The containers of one node that match an id: by exact name or full id, else by the beginning of an id. */
export interface Holding {
  exact: Found[];
  prefix: Found[];
}

/** What the cluster asks of this host's Docker. */
export interface LocalHost {
  /** @param labels only containers that have all of them count; not those that have one from their image alone */
  find(id: string, labels?: Readonly<Record<string, string>>): Promise<Holding>;
  /**
   * All containers as a JSON array. The version differs whenever the containers do. `followed` is whether changes are being watched:
   * only then does `onChange` report every change.
   */
  list(): Promise<{ version: string; json: Buffer; followed: boolean }>;
  onChange(listener: () => void): void;
  /** @param listener called with each name, or alias, that a container gets; undefined stands for any: names were not followed */
  onNameGiven(listener: (name: string | undefined) => void): void;
  /** Whether `onNameGiven` reports every name at present. */
  followsNames(): boolean;
  /** Whether this host has a container of a name that another node gives to one. @param late whether that one has started already */
  answerName(name: string, claim: string, late: boolean | undefined): Promise<{ taken: boolean }>;
  /** What the containers with these labels use. */
  countUse(labels: Readonly<Record<string, string>>): Promise<NodeUse>;
  /** @param labels only a volume that has all of them counts */
  holdsVolume(name: string, labels?: Readonly<Record<string, string>>): Promise<boolean>;
}
