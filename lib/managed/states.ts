import { AppError } from "../errors";

/** The states in which each action on a managed container is allowed. */
const ALLOWED_STATES = {
  start: ["created", "exited"],
  stop: ["running", "paused", "restarting"],
  restart: ["running", "paused", "restarting", "exited"],
  pause: ["running"],
  unpause: ["paused"],
  change: ["created", "running", "restarting", "exited"],
} as const satisfies Record<string, readonly string[]>;

export type LifecycleAction = keyof typeof ALLOWED_STATES;

/** @throws AppError WRONG_STATE */
export function assertStateAllows(action: LifecycleAction, status: string): void {
  const allowed: readonly string[] = ALLOWED_STATES[action];
  if (!allowed.includes(status)) throw wrongStateError(action, status);
}

export function wrongStateError(action: LifecycleAction, status: string): AppError {
  return new AppError("WRONG_STATE", {
    message: `${action} needs a container that is ${ALLOWED_STATES[action].join(" or ")}; this one is ${status}`,
    details: { action, status, allowed: ALLOWED_STATES[action] },
  });
}
