import { z } from "zod";
import { requireAllowed } from "../../docker/create/policy";
import { type BodyContext, bodyReader, checked, dropped, type Fields, harmless, type ValueOf } from "./body-table";
import { flag, integer, text, texts } from "./values";

const consoleSize = harmless(z.array(integer).length(2, { error: "must be height and width" }));

/** dockerode's own options, which it sends along. */
const IGNORED = Object.fromEntries("hijack stdin stdout stderr stream abortSignal".split(" ").map((name) => [name, dropped()]));

const EXEC_CREATE = {
  User: harmless(text),
  Privileged: checked(flag, (value, policy, field) => {
    if (value) requireAllowed(policy, "privileged", field);
  }),
  Tty: harmless(flag),
  ConsoleSize: consoleSize,
  AttachStdin: harmless(flag),
  AttachStderr: harmless(flag),
  AttachStdout: harmless(flag),
  Detach: harmless(flag),
  DetachKeys: harmless(text),
  Env: harmless(texts),
  WorkingDir: harmless(text),
  Cmd: harmless(texts),
  // docker-py sends the id of the path again, and this spelling.
  Container: dropped(text),
  detachKeys: harmless(text),
  ...IGNORED,
} satisfies Fields;
const readExecCreate = bodyReader(EXEC_CREATE);

export type ExecCreateBody = Omit<ValueOf<typeof EXEC_CREATE>, "detachKeys">;

const EXEC_START = { Detach: harmless(flag), Tty: harmless(flag), ConsoleSize: consoleSize, ...IGNORED } satisfies Fields;
const readExecStart = bodyReader(EXEC_START);

export type ExecStartBody = ValueOf<typeof EXEC_START>;

/**
 * Reads the body of `POST /containers/{id}/exec`.
 * @throws AppError INVALID_BODY, INVALID_INPUT, NOT_ALLOWED, REFUSED_BY_TOKEN
 */
export function parseExecCreateBody(raw: Buffer | undefined, context: BodyContext): ExecCreateBody {
  const { detachKeys, ...body } = readExecCreate(raw, context);
  return detachKeys === undefined || body.DetachKeys !== undefined ? body : { ...body, DetachKeys: detachKeys };
}

/**
 * Reads the body of `POST /exec/{id}/start`.
 * @throws AppError INVALID_BODY, INVALID_INPUT
 */
export function parseExecStartBody(raw: Buffer | undefined, context: BodyContext): ExecStartBody {
  return readExecStart(raw, context);
}
