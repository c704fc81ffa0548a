import { readInput } from "../../../lib/http/input";
import { changeBody, createBody, toRequestedSpec, toSpecChange } from "../../../lib/routes/schemas/managed-bodies";

const healthcheck = { cmd: "true", interval: "1m", retries: 2 };

/** The health check of a container that had one, after a change. */
function changed(change: object | null, before: object | null = healthcheck) {
  const spec = toRequestedSpec(readInput(createBody, { image: "a", healthcheck: before }), undefined);
  return toSpecChange(readInput(changeBody, { healthcheck: change }))(spec).healthcheck;
}

describe("the health check of a change", () => {
  test("is merged with the one that there is, field by field", () => {
    expect(changed({ interval: "3s" })).toEqual({ ...healthcheck, interval: "3s" });
    expect(changed({ interval: "3s" }, null)).toEqual({ interval: "3s" });
    expect(changed({ disable: true })).toEqual({ ...healthcheck, disable: true });
  });

  test("loses a field by null, and is removed by null", () => {
    expect(changed({ interval: null, timeout: null })).toEqual({ cmd: "true", retries: 2 });
    expect(changed(null)).toBeUndefined();
  });

  test("stays as it is if the change does not name it", () => {
    const spec = toRequestedSpec(readInput(createBody, { image: "a", healthcheck }), undefined);
    expect(toSpecChange(readInput(changeBody, { tags: ["b"] }))(spec).healthcheck).toEqual(healthcheck);
  });
});

test("a cuid of another form is refused with the form", () => {
  expect(() => readInput(createBody, { image: "a", cuid: "abc" })).toThrow("cuid must be a c and 24 lower-case letters or digits");
});
