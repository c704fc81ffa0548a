import type { Bed } from "./bed";

/** Makes a container, started unless told otherwise; returns its id. */
export async function newContainer({ raw }: Bed, command: string[], start = true): Promise<string> {
  const { Id } = await raw.askJson("POST", "/containers/create", { Image: "busybox", Cmd: command });
  if (start) await raw.ask("POST", `/containers/${Id}/start`);
  return Id as string;
}

/** Gives `work` a container that runs a command, and removes it afterwards. */
export async function withContainer<T>(bed: Bed, command: string[], work: (id: string) => Promise<T>): Promise<T> {
  const id = await newContainer(bed, command);
  try {
    return await work(id);
  } finally {
    await bed.raw.ask("DELETE", `/containers/${id}?force=1`);
  }
}
