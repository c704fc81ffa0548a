import { logQuery } from "../../../lib/routes/schemas/log-query";

describe("logQuery", () => {
  test.each([
    ["1700000000", "1700000000"],
    ["1700000000.123456789", "1700000000.123456789"],
    ["1700000000.000000001", "1700000000.000000001"],
    ["1700000000.1234567890123", "1700000000.123456789"],
    ["2023-11-14T22:13:20.123456789Z", "1700000000.123456789"],
    ["2023-11-15T00:13:20.000000001+02:00", "1700000000.000000001"],
    ["2023-11-14T22:13:20Z", "1700000000"],
  ])("the time %s is passed on to the nanosecond: %s", (given, expected) => {
    expect(logQuery.parse({ since: given, until: given })).toMatchObject({ since: expected, until: expected });
  });

  test("a number of seconds that would be in 1970 is refused, and the age with its unit named; 0 and 1 are all there is", () => {
    expect(logQuery.safeParse({ since: "300" }).error?.issues[0]?.message).toBe("would be in 1970; 300 seconds ago is 300s");
    expect(logQuery.parse({ since: "0", until: "1" })).toMatchObject({ since: "0", until: "1" });
  });
});
