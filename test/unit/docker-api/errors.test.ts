import type { Response } from "express";
import { answerDockerError } from "../../../lib/docker-api/errors";
import { AppError } from "../../../lib/errors";
import { quietLog } from "../../support/unit/quiet-log";

/** The message that a client gets for an error of a request to a URL. */
function messageFor(error: AppError, url: string): string {
  const sent: string[] = [];
  const response = { locals: {}, req: { method: "POST", url }, setHeader: () => undefined, end: (text: string) => sent.push(text) };
  answerDockerError(response as unknown as Response, error, quietLog().log);
  return (JSON.parse(sent.join("")) as { message: string }).message;
}

test.each([
  ["the container of a client's BuildKit", "NOT_ALLOWED", "/v1.51/containers/create?name=buildx_buildkit_default", true],
  ["a request without credentials", "MISSING_CREDENTIALS", "/v1.51/info", true],
  ["another container", "NOT_ALLOWED", "/v1.51/containers/create?name=web", false],
  ["an error that is no refusal", "NAME_TAKEN", "/v1.51/containers/create?name=buildx_buildkit_default", false],
] as const)("%s is refused with a hint at the builder that works here: %s %s %s", (_what, code, url, hasHint) => {
  expect(messageFor(new AppError(code), url).includes("DOCKER_BUILDKIT=0")).toBe(hasHint);
});
