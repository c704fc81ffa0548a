import { PassThrough } from "node:stream";
import type { ContainerInfo } from "dockerode";
import type { AppError } from "../../../lib/errors";

/** A full id made of one digit. */
export const ID = (digit: string) => digit.repeat(64);

/** A container as the engine lists it. */
export function info(fields: Partial<ContainerInfo>): ContainerInfo {
  const plain = { Id: ID("a"), Names: ["/n"], Image: "i", Command: "c", Created: 0, State: "running", Status: "Up", Ports: [], Labels: {} };
  return { ...plain, ...fields } as unknown as ContainerInfo;
}

/** An engine whose answers the test releases one by one. Each answer is the state at the time of the call. */
export class SlowEngine {
  containers: ContainerInfo[] = [];
  asked: (() => void)[] = [];
  questions = 0;
  followers: PassThrough[] = [];
  failure: AppError | undefined;

  onContainerNotFound: (() => void) | undefined;

  constructor(private readonly atOnce: boolean) {}

  async assertAlive(): Promise<void> {
    if (this.failure) throw this.failure;
  }

  invalidatePing(): void {}

  async stream(): Promise<PassThrough> {
    if (this.failure) throw this.failure;
    const events = new PassThrough();
    this.followers.push(events);
    return events;
  }

  call(): Promise<ContainerInfo[]> {
    this.questions += 1;
    const now = [...this.containers];
    return this.atOnce ? Promise.resolve(now) : new Promise((resolve) => this.asked.push(() => resolve(now)));
  }

  /** @param text the event as the engine writes it */
  event(text = "{}"): void {
    this.followers.at(-1)?.write(`${text}\n`);
  }
}
