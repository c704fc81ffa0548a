/** Cases that pass on an engine only, and why. */
export interface Exception {
  suite: string;
  pattern: RegExp;
  reason: string;
}

/** The rows of the document's table: suite, patterns of cases with `*`, number of cases, reason. */
export function readExceptions(document: string): Exception[] {
  return [...document.matchAll(/^\| (dockerode|docker-py) \| (.+) \| \d+ \| (.+) \|$/gm)].flatMap(
    ([, suite = "", patterns = "", reason = ""]) =>
      [...patterns.matchAll(/`([^`]+)`/g)].map(([, pattern = ""]) => ({ suite, reason, pattern: toRegExp(pattern) })),
  );
}

function toRegExp(pattern: string): RegExp {
  const parts = pattern.split("*").map((part) => part.replace(/[\\^$.|?+()[\]{}]/g, "\\$&"));
  return new RegExp(`^${parts.join(".*")}$`);
}

/** The cases of a report of Mocha's `json` reporter, by their full titles. */
export function readMochaReport(text: string): Map<string, boolean> {
  const { tests } = JSON.parse(text) as { tests: { fullTitle: string; err: object; pending?: boolean; duration?: number }[] };
  const cases = new Map<string, boolean>();
  for (const { fullTitle, err, duration } of tests) {
    let name = fullTitle;
    for (let count = 2; cases.has(name); count++) name = `${fullTitle} (${count})`;
    // A case that is skipped has no duration.
    cases.set(name, duration !== undefined && Object.keys(err).length === 0);
  }
  return cases;
}

/** The cases of a JUnit report of pytest, as `module.Class.test`. */
export function readJunitReport(text: string): Map<string, boolean> {
  const cases = new Map<string, boolean>();
  for (const [, scope = "", name = "", , body = ""] of text.matchAll(
    /<testcase classname="([^"]*)" name="([^"]*)"[^>]*?(\/>|>([\s\S]*?)<\/testcase>)/g,
  )) {
    const full = `${scope.replace("tests.integration.", "")}.${name}`;
    // A case that fails in its teardown has two entries.
    cases.set(full, cases.get(full) !== false && !/<(?:failure|error|skipped)\b/.test(body));
  }
  return cases;
}
