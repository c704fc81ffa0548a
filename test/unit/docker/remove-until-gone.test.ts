import { removeUntilGone } from "../../../lib/docker/remove-until-gone";
import { AppError } from "../../../lib/errors";

beforeEach(() => jest.useFakeTimers());
afterEach(() => jest.useRealTimers());

const unreachable = () => new AppError("ENGINE_UNREACHABLE");
const underWay = () => new AppError("WRONG_STATE", { message: "removal of container c0ffee is already in progress" });
const gone = () => new AppError("CONTAINER_NOT_FOUND");
const refused = () => new AppError("ENGINE_ERROR", { message: "device or resource busy" });

/** Removes what answers one attempt after the other with these errors, and then with a success. */
async function remove(errors: AppError[]) {
  const left = [...errors];
  const failures: Error[] = [];
  const attempt = async () => {
    const error = left.shift();
    if (error) throw error;
  };
  const { retries } = await removeUntilGone(attempt, (error) => failures.push(error));
  await jest.advanceTimersByTimeAsync(60_000);
  await retries;
  return { attempts: errors.length - left.length, failures: failures.map(({ message }) => message) };
}

test("a removal is tried again while the engine is unreachable", async () => {
  expect(await remove([unreachable(), unreachable()])).toEqual({ attempts: 2, failures: [] });
});

test("a removal that the engine says is under way is tried again: the other one may fail", async () => {
  expect(await remove([unreachable(), underWay(), underWay(), gone()])).toEqual({ attempts: 4, failures: [] });
});

test("what doesn't exist counts as removed", async () => {
  expect(await remove([gone(), refused()])).toEqual({ attempts: 1, failures: [] });
});

test("a removal that the engine refuses for a moment is tried again", async () => {
  expect(await remove([unreachable(), refused(), refused()])).toEqual({ attempts: 3, failures: [] });
});

test("after five refusals the last one is told, and no attempt follows", async () => {
  expect(await remove(Array.from({ length: 9 }, refused))).toEqual({ attempts: 5, failures: ["device or resource busy"] });
});
