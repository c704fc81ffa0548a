import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { deriveTokenKey, makeToken } from "../../../lib/access/token";
import { NarrowTokens } from "../../../lib/auth/narrow-tokens";
import { inAnHour } from "../../support/unit/access-parts";
import { quietLog } from "../../support/unit/quiet-log";

const narrowTokens = (cluster_key: string[]) =>
  new NarrowTokens({ cluster_key, token: ["root"], token_file: null, user: null, password: null });
const tokenOfKey = (secret: string) => makeToken(deriveTokenKey(secret), { can: ["read"], expires: inAnHour() });

test("while a cluster key is replaced, tokens of both keys are valid, and those of the old one no more when it is dropped", () => {
  const [ofOld, ofNew, ofRoot] = [tokenOfKey("old"), tokenOfKey("new"), tokenOfKey("root")];
  const valid = (keys: string[]) => [ofOld, ofNew, ofRoot].map((token) => narrowTokens(keys).check(token) !== undefined);
  expect(valid(["old"])).toEqual([true, false, false]);
  expect(valid(["old", "new"])).toEqual([true, true, false]);
  expect(valid(["new", "old"])).toEqual([true, true, false]);
  expect(valid(["new"])).toEqual([false, true, false]);
});

test("new tokens are signed with the first key, which a node that has both already accepts", () => {
  const made = makeToken(narrowTokens(["new", "old"]).signingKey, { expires: inAnHour() });
  expect(narrowTokens(["old", "new"]).check(made)).toBeDefined();
  expect(narrowTokens(["old"]).check(made)).toBeUndefined();
});

test("a token that was valid is checked again: it ends with the token of the file that it was made with", () => {
  const narrow = new NarrowTokens({ cluster_key: [], token: [], token_file: "tokens", user: null, password: null });
  const token = tokenOfKey("first");
  narrow.setFileTokens(["first", "second"]);
  expect([narrow.check(token)?.can("read"), narrow.check(token)?.can("run")]).toEqual([true, false]);
  narrow.setFileTokens(["second"]);
  expect(narrow.check(token)).toBeUndefined();
});

test("the file of revoked ids takes a token or its beginning too, and a line that is neither is told of by its number", () => {
  const folder = mkdtempSync(path.join(tmpdir(), "revoked-"));
  const file = path.join(folder, "ids");
  const tokens = [1, 2, 3].map(() => tokenOfKey("key"));
  const [byId = "", byBeginning = "", whole = ""] = tokens;
  writeFileSync(file, `# left\n${byId.slice(4, 20)} # one\n${byBeginning.slice(0, 20)}\nrubbish here\n${whole}\n${whole.slice(0, 16)}\n`);
  const narrow = narrowTokens(["key"]);
  const { log, entries } = quietLog();
  narrow.watchRevoked(file, log);
  rmSync(folder, { recursive: true });
  for (const token of tokens) expect(() => narrow.check(token)).toThrow(expect.objectContaining({ code: "TOKEN_REFUSED" }));
  expect(narrow.check(tokenOfKey("key"))).toBeDefined();
  const message = "Revoked tokens: lines that are no id of a narrow token revoke nothing";
  expect(entries).toEqual([{ level: "warn", message, fields: { lines: [4, 6] } }]);
});

test("a token that was valid is refused when it has expired", () => {
  const narrow = narrowTokens(["key"]);
  const token = makeToken(deriveTokenKey("key"), { expires: inAnHour() });
  expect(narrow.check(token)).toBeDefined();
  jest.spyOn(Date, "now").mockReturnValue(inAnHour() * 1000 + 1000);
  expect(() => narrow.check(token)).toThrow(expect.objectContaining({ code: "TOKEN_REFUSED" }));
  jest.restoreAllMocks();
});

test("many different tokens leave no memory in use", () => {
  setFlagsFromString("--expose_gc");
  const collectGarbage = runInNewContext("gc") as () => void;
  const heapUsed = () => {
    collectGarbage();
    return process.memoryUsage().heapUsed;
  };
  const key = deriveTokenKey("key");
  const narrow = narrowTokens(["key"]);
  const present = (count: number) => {
    for (let index = 0; index < count; index += 1)
      narrow.check(makeToken(key, { can: ["read"], labels: { index: String(index) }, expires: inAnHour() }));
  };
  present(500);
  const before = heapUsed();
  present(5000);
  expect(heapUsed() - before).toBeLessThan(2 * 2 ** 20);
});
