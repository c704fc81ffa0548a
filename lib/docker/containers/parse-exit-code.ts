import { AppError } from "../../errors";

/**
 * The exit code in the engine's response to `POST /containers/:id/wait`.
 * @param body the whole response body
 * @throws AppError ENGINE_UNREACHABLE if the connection broke before it was complete
 */
export function parseExitCode(body: string): number {
  try {
    return (JSON.parse(body) as { StatusCode: number }).StatusCode;
  } catch (cause) {
    throw new AppError("ENGINE_UNREACHABLE", { message: "The Docker engine was gone before the run had ended", cause });
  }
}
