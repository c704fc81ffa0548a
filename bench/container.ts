import type { Bed } from "./bed";

/** Creates a container and, by default, starts it. @returns its id */
export async function newContainer({ raw }: Bed, command: string[], start = true): Promise<string> {
  const { Id } = await raw.askJson("POST", "/containers/create", { Image: "busybox", Cmd: command });
  if (start) await raw.ask("POST", `/containers/${Id}/start`);
  return Id as string;
}

/** Runs a command in a container for the duration of `work`, then removes the container. */
export async function withContainer<T>(bed: Bed, command: string[], work: (id: string) => Promise<T>): Promise<T> {
  const id = await newContainer(bed, command);
  try {
    return await work(id);
  } finally {
    await bed.raw.ask("DELETE", `/containers/${id}?force=1`);
  }
}
