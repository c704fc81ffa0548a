import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import fc from "fast-check";
import { Access } from "../../../lib/access/access";
import { type CredentialSettings, Credentials } from "../../../lib/auth/credentials";
import { until } from "../../../scripts/process";
import { quietLog } from "../../support/unit/quiet-log";

const NONE: CredentialSettings = { token: [], token_file: null, user: null, password: null };
const load = (settings: Partial<CredentialSettings>) => Credentials.load({ ...NONE, ...settings }, quietLog().log);
const base64 = (text: string) => Buffer.from(text).toString("base64");

const VALID = { identity: expect.any(String), fingerprint: expect.any(String), access: Access.full };
const basic = (text: string, scheme = "Basic") => ({ authorization: `${scheme} ${base64(text)}` });
const bearer = (token: string, scheme = "Bearer") => ({ authorization: `${scheme} ${token}` });

const credentials = load({ token: ["first-token", "second: token, é"], user: "admin", password: "pass:word é" });

describe("Credentials", () => {
  test.each([
    ["Basic of a token", basic("first-token")],
    ["Basic of a token with a colon", basic("second: token, é")],
    ["a token as the password of the user", basic("admin:first-token")],
    ["a token as the password without a user", basic(":first-token")],
    ["a token as the password of another user", basic("root:first-token")],
    ["Basic of user and password", basic("admin:pass:word é")],
    ["Bearer", bearer("first-token")],
    ["X-Access-Token", { "x-access-token": "first-token" }],
    ["basic in lower case", basic("first-token", "basic")],
    ["BEARER in capitals", bearer("first-token", "BEARER")],
    ["more than one blank", { authorization: ` Bearer   first-token ` }],
  ])("%s is accepted", (_name, headers) => {
    expect(credentials.check(headers)).toEqual(VALID);
  });

  test.each([
    ["another token", bearer("other-token")],
    ["the beginning of one", bearer("first-toke")],
    ["one with more behind it", bearer("first-token2")],
    ["one in capitals", bearer("FIRST-TOKEN")],
    ["no token behind Bearer", { authorization: "Bearer" }],
    ["no token behind Basic", { authorization: "Basic " }],
    ["an empty X-Access-Token", { "x-access-token": "" }],
    ["a token that isn't base64 behind Basic", { authorization: "Basic first-token" }],
    ["base64 behind Bearer", bearer(base64("first-token"))],
    ["an unknown scheme", { authorization: "Digest first-token" }],
    ["no scheme", { authorization: "first-token" }],
    ["the password alone", basic("pass:word é")],
    ["the password as a token", bearer("pass:word é")],
    ["another user with the password", basic("root:pass:word é")],
    ["a wrong token as the password", basic("root:other-token")],
    ["the user without a password", basic("admin:")],
  ])("%s is wrong", (_name, headers) => {
    expect(credentials.check(headers)).toBe("wrong");
  });

  test("a request without credentials is missing, not wrong", () => {
    for (const headers of [{}, { authorization: "" }, { authorization: "  " }, { cookie: "token=first-token" }]) {
      expect(credentials.check(headers)).toBe("missing");
    }
  });

  test("without configured credentials every request is refused, also empty credentials", () => {
    for (const headers of [basic(""), basic(":"), bearer(""), { "x-access-token": "" }, basic("null:null"), bearer("null")]) {
      expect(load({}).check(headers)).toBe("wrong");
      expect(load({ user: "admin" }).check(headers)).toBe("wrong");
      expect(load({ password: "x" }).check(headers)).toBe("wrong");
    }
    expect(load({ user: "admin" }).check(basic("admin:null"))).toBe("wrong");
  });

  test("each token has one identity in every form, and the identity doesn't reveal the token", () => {
    const secret = fc.stringMatching(/^[!-~]{8,40}$/);
    fc.assert(
      fc.property(fc.uniqueArray(secret, { minLength: 2, maxLength: 4 }), (tokens) => {
        const loaded = load({ token: tokens });
        const identities = tokens.map((token) => {
          const encodings = [basic(token), bearer(token), { "x-access-token": token }];
          const verdicts = encodings.map((headers) => loaded.check(headers) as { identity: string });
          expect(new Set(verdicts.map(({ identity }) => identity)).size).toBe(1);
          expect(verdicts[0]?.identity).not.toContain(token);
          return verdicts[0]?.identity;
        });
        expect(new Set(identities).size).toBe(tokens.length);
      }),
    );
  });

  test("the identity of a user is the user name", () => {
    expect(credentials.check(basic("admin:pass:word é"))).toMatchObject({ identity: "admin" });
  });

  test("a token has the same identity after a restart, also of a node alone, and whichever other tokens there are", () => {
    const identityOf = (token: string[]) => load({ token }).check(bearer("first-token"));
    const before = identityOf(["first-token"]);
    expect(before).toEqual(VALID);
    expect(identityOf(["another", "first-token"])).toMatchObject({ identity: (before as { identity: string }).identity });
  });
});

describe("token file", () => {
  let folder: string;
  let file: string;
  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), "docker-server-tokens-"));
    file = path.join(folder, "tokens");
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  const accepts = (credentials: Credentials, token: string) => credentials.check(bearer(token)) !== "wrong";

  test("a token file adds one token per line to the configured ones; a line that begins with # is a comment", () => {
    writeFileSync(file, "# ci\r\none\r\n\n  two  \n  #three\nthree");
    const loaded = load({ token: ["fixed"], token_file: file });
    for (const token of ["one", "two", "three", "fixed", "  two  "]) expect(accepts(loaded, token)).toBe(true);
    for (const token of ["", "# ci", "ci", "#three", "#"]) expect(accepts(loaded, token)).toBe(false);
    expect(loaded.check({ "x-access-token": "  two  " })).toBe("wrong");
  });

  test("a changed token file replaces its own tokens and keeps the configured ones", async () => {
    writeFileSync(file, "old\nkept\n");
    const loaded = load({ token: ["fixed"], token_file: file });
    writeFileSync(file, "kept\nnew-token\n");
    expect(await until(() => accepts(loaded, "new-token"), 20_000)).toBe(true);
    expect(["old", "kept", "fixed"].map((token) => accepts(loaded, token))).toEqual([false, true, true]);
  });

  test("a token file that can't be read leaves its tokens valid and logs an error; an emptied one revokes all of them", async () => {
    writeFileSync(file, "old-token\n");
    const { log, entries } = quietLog();
    const loaded = Credentials.load({ ...NONE, token_file: file }, log);
    const { identity } = loaded.check(bearer("old-token")) as { identity: string };
    rmSync(file);
    expect(await until(() => entries.some(({ level }) => level === "error"), 20_000)).toBe(true);
    expect(accepts(loaded, "old-token")).toBe(true);
    writeFileSync(file, " \n# none\n");
    expect(await until(() => loaded.isRevoked(identity), 20_000)).toBe(true);
    expect(accepts(loaded, "old-token")).toBe(false);
    writeFileSync(file, "new-token\n");
    expect(await until(() => accepts(loaded, "new-token"), 20_000)).toBe(true);
    expect(accepts(loaded, "old-token")).toBe(false);
    expect(JSON.stringify(entries)).not.toMatch(/old-token|new-token/);
  });

  test("a token file with a narrow token is an error, which leaves the previous tokens valid", async () => {
    writeFileSync(file, "ds1_abc\n");
    expect(() => load({ token_file: file })).toThrow("A line of --token_file must not be a narrow token");
    writeFileSync(file, "old-token\n");
    const { log, entries } = quietLog();
    const loaded = Credentials.load({ ...NONE, token_file: file }, log);
    writeFileSync(file, "new-token\nds1_abc\n");
    expect(await until(() => entries.some(({ message }) => message.startsWith("Token file not usable")), 20_000)).toBe(true);
    expect([accepts(loaded, "old-token"), accepts(loaded, "new-token"), accepts(loaded, "ds1_abc")]).toEqual([true, false, false]);
  });

  test("a token file that is absent or empty at the start is an error with its path", () => {
    expect(() => load({ token_file: file })).toThrow(file);
    writeFileSync(file, "\n \n");
    expect(() => load({ token_file: file })).toThrow(`${file} holds no token`);
  });
});
