import { AppError, type ErrorCode } from "../../../lib/errors";
import { mergePullOutcomes, mergeRemovalOutcomes } from "../../../lib/routes/schemas/image-outcomes";

const failed = (node: string, code: ErrorCode) => ({ node, error: new AppError(code, { message: `not on ${node}` }) });
const done = (node: string) => ({ node, status: 200, body: { image: "busybox", host: node } });

test.each([
  ["removal", mergeRemovalOutcomes, "IMAGE_IN_USE", "not on n2 (on n2); removed on n1, n3"],
  ["pull", mergePullOutcomes, "REGISTRY_UNREACHABLE", "not on n2 (on n2); pulled on n1, n3"],
] as const)("the error of a %s that succeeded on some nodes says where", (_what, merge, code, message) => {
  expect(() => merge([done("n1"), failed("n2", code), done("n3")])).toThrow(expect.objectContaining({ code, message }));
});

test("an error of all nodes is that of the worst", () => {
  const outcomes = [failed("n1", "IMAGE_NOT_FOUND"), failed("n2", "REGISTRY_UNREACHABLE")];
  expect(() => mergePullOutcomes(outcomes)).toThrow(expect.objectContaining({ code: "REGISTRY_UNREACHABLE", message: "not on n2" }));
});
