import { AppError } from "../errors";

/** From which states a managed container may be moved, and how. */
const FROM = {
  start: ["created", "exited"],
  stop: ["running", "paused", "restarting"],
  restart: ["running", "paused", "restarting", "exited"],
  pause: ["running"],
  unpause: ["paused"],
  change: ["created", "running", "exited"],
} as const satisfies Record<string, readonly string[]>;

export type Action = keyof typeof FROM;

/** @throws AppError WRONG_STATE */
export function checkState(action: Action, status: string): void {
  const from: readonly string[] = FROM[action];
  if (!from.includes(status)) throw wrongState(action, status);
}

export function wrongState(action: Action, status: string): AppError {
  return new AppError("WRONG_STATE", {
    message: `${action} needs a container that is ${FROM[action].join(" or ")}; this one is ${status}`,
    details: { action, status, allowed: FROM[action] },
  });
}
