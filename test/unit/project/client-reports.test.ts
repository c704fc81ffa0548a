import { readExceptions, readJunitReport, readMochaReport } from "../../../scripts/client-reports";

test("a case of Mocha has passed if it ran without an error, and cases of one title are told apart", () => {
  const tests = [
    { fullTitle: "runs", err: {}, duration: 0 },
    { fullTitle: "runs", err: { message: "no" }, duration: 3 },
    { fullTitle: "is skipped", err: {} },
  ];
  expect([...readMochaReport(JSON.stringify({ tests }))]).toEqual([
    ["runs", true],
    ["runs (2)", false],
    ["is skipped", false],
  ]);
});

test("a case of pytest has passed if it and its teardown have neither failed nor been skipped", () => {
  const report = [
    '<testcase classname="tests.integration.api_a_test.A" name="test_passes" time="0.1" />',
    '<testcase classname="tests.integration.api_a_test.A" name="test_fails" time="0.1"><failure message="a &gt; b">text</failure></testcase>',
    '<testcase classname="tests.integration.api_a_test.A" name="test_skipped[1-2]" time="0"><skipped type="x" /></testcase>',
    '<testcase classname="tests.integration.api_a_test.A" name="test_torn" time="1"/>',
    '<testcase classname="tests.integration.api_a_test.A" name="test_torn" time="1"><error message="no" /></testcase>',
  ].join("");
  expect(Object.fromEntries(readJunitReport(report))).toEqual({
    "api_a_test.A.test_passes": true,
    "api_a_test.A.test_fails": false,
    "api_a_test.A.test_skipped[1-2]": false,
    "api_a_test.A.test_torn": false,
  });
});

test("the documented exceptions match whole names of cases, where a star stands for any text", () => {
  const document =
    "| suite | cases | | reason |\n| docker-py | `api_swarm_test.*`, `a.B.test[1]` | 12 | Swarm |\n| other | `x` | 1 | no |\n";
  const exceptions = readExceptions(document);
  expect(exceptions.map(({ suite, reason }) => [suite, reason])).toEqual(Array(2).fill(["docker-py", "Swarm"]));
  const matches = (name: string) => exceptions.some(({ pattern }) => pattern.test(name));
  expect(["api_swarm_test.S.test_init", "a.B.test[1]", "a.B.test1", "x.api_swarm_test.S"].map(matches)).toEqual([true, true, false, false]);
});
