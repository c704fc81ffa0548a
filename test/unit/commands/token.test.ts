import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { Access } from "../../../lib/access/access";
import { deriveTokenKey, readClaim, type TokenClaim, verifyToken } from "../../../lib/access/token";
import { tokenCommand } from "../../../lib/commands/token";

const settings = { cluster_key: [] as string[], token: ["root token"], token_file: null as string | null, user: null, password: null };
const make = (caveats: string, changed: Partial<typeof settings> = {}) =>
  tokenCommand(["make", caveats, "--token", "x"], async () => ({ ...settings, ...changed }));
const noSettings = async () => {
  throw new Error("no settings are needed");
};

describe("docker-server token", () => {
  test("make signs with the key of the cluster, else of the root token", async () => {
    const token = await make('{"can":["read"],"expires":"2h"}');
    expect(verifyToken([deriveTokenKey("root token")], token)).toBeDefined();
    const hours = ((Access.of(readClaim(token) as TokenClaim).expires as number) * 1000 - Date.now()) / 3_600_000;
    expect(Math.round(hours)).toBe(2);
    const ofCluster = await make('{"expires":"1d"}', { cluster_key: ["first", "second"] });
    expect(verifyToken([deriveTokenKey("first")], ofCluster)).toBeDefined();
  });

  test("make signs with the first token of a token file, which may begin with a comment", async () => {
    const folder = mkdtempSync(path.join(tmpdir(), "docker-server-token-"));
    const file = path.join(folder, "tokens");
    writeFileSync(file, "# of the pool\n\nfile token\n");
    const token = await make('{"expires":"1d"}', { token: [], token_file: file });
    rmSync(folder, { recursive: true });
    expect(verifyToken([deriveTokenKey("file token")], token)).toBeDefined();
  });

  test("narrow and show need no settings", async () => {
    const token = await make('{"can":["read","logs"],"expires":4102444800}');
    const narrowed = await tokenCommand(["narrow", token, '{"can":["read"]}'], noSettings);
    expect(verifyToken([deriveTokenKey("root token")], narrowed)).toBeDefined();
    expect(JSON.parse(await tokenCommand(["show", narrowed], noSettings))).toEqual({
      id: token.slice(4, 20),
      caveats: [{ can: ["read", "logs"], expires: 4102444800 }, { can: ["read"] }],
    });
  });

  test("options before the caveats are an error that shows the right form", async () => {
    const made = tokenCommand(["make", "--can", "read", "--expires=12h"], async () => settings);
    await expect(made).rejects.toThrow(/docker-server token make CAVEATS[\s\S]*come first, not --can\./);
  });

  test("narrow makes no token without a permission, and tells which ones the token has", async () => {
    const token = await make('{"can":["read","logs","exec"],"expires":"1h"}');
    const narrowed = await tokenCommand(["narrow", token, '{"can":["read","logs","files"]}'], noSettings);
    await expect(tokenCommand(["narrow", narrowed, '{"can":["exec"]}'], noSettings)).rejects.toThrow(
      "can must share a permission with the token, which has read, logs",
    );
  });

  test.each([
    [["make", "{}"]],
    [["make", '{"can":["read"],"expires":3600}']],
    [["make", "can"]],
    [["make", '{"expires":"soon"}']],
    [["make", '{"expires":"1h","colour":"red"}']],
    [["narrow", "root token", "{}"]],
    [["show", "ds1_x"]],
    [["remove"]],
    [[]],
  ])("%j is an error", async (argv) => {
    await expect(tokenCommand(argv, async () => settings)).rejects.toThrow(/./);
  });
});
