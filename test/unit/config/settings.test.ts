import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { envNames, loadSettings } from "../../../config/load";
import type { Setting } from "../../../config/setting";
import { SETTINGS, type SettingName, type Settings } from "../../../config/settings";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), "docker-server-settings-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** Loads settings in an empty folder, without this process's environment. */
async function load(argv: string[] = [], env: NodeJS.ProcessEnv = {}) {
  const loaded = await loadSettings(argv, env, folder);
  if (loaded === null) throw new Error("no settings");
  return loaded;
}

let defaults: Settings;
beforeAll(async () => {
  defaults = (await loadSettings([], {}, "/"))?.settings as Settings;
});

const table = Object.entries(SETTINGS) as [SettingName, Setting][];

/** A valid text for a setting that differs from its default, and the parsed value. */
function sample(row: Setting): { text: string; value: unknown } {
  const choice = row.choices?.find((each) => each !== row.default);
  if (row.type === "boolean") return { text: String(!row.default), value: !row.default };
  if (row.type === "number") return { text: String(Number(row.default) + 1), value: Number(row.default) + 1 };
  const text =
    choice ??
    (row.check ? ["/a", "1", "http://10.0.0.1:1717", "unix:///a"].find((each) => row.check?.(each) === undefined) : undefined) ??
    "value";
  return { text, value: row.type === "list" ? [text] : text };
}

/** One setting of each type: a text for each source, and the parsed values. */
const SOURCES: [SettingName, string[], unknown[]][] = [
  ["port", ["1001", "1002", "1003", "1004"], [1001, 1002, 1003, 1004]],
  ["node_name", ["a", "b", "c", "d"], ["a", "b", "c", "d"]],
  ["cluster", ["false", "true", "false", "true"], [false, true, false, true]],
  ["run_cap_drop", ["A", "B,C", "D E", "F"], [["A"], ["B", "C"], ["D", "E"], ["F"]]],
  ["token", ["a,1", "b", "c d", "e"], [["a,1"], ["b"], ["c d"], ["e"]]],
];

test.each(SOURCES)("%s: flag before environment before .env before config file before default", async (name, texts, values) => {
  const [flag = "", variable = "", dotenv = "", file = ""] = texts;
  const key = `DS_${name.toUpperCase()}`;
  const config = path.join(folder, "settings.json");
  writeFileSync(config, JSON.stringify({ [name]: file }));
  writeFileSync(path.join(folder, ".env"), `${key}="${dotenv}"\n`);
  const env = { DS_CONFIG: config, [key]: variable };
  const read = async (argv: string[], variables: NodeJS.ProcessEnv) => (await load(argv, variables)).settings[name];

  expect(await read([`--${name}=${flag}`], env)).toEqual(values[0]);
  expect(await read([], env)).toEqual(values[1]);
  expect(await read([], { DS_CONFIG: config })).toEqual(values[2]);
  rmSync(path.join(folder, ".env"));
  expect(await read([], { DS_CONFIG: config })).toEqual(values[3]);
  expect(await read([], {})).toEqual(SETTINGS[name].default);
});

const variables = table.flatMap(([name, row]) => envNames(name, row).map((variable) => ({ name, row, variable })));

test.each(variables.filter(({ name }) => name !== "config"))("$variable sets $name", async ({ name, row, variable }) => {
  const { text, value } = sample(row);
  const { settings, warnings } = await load([], { [variable]: text });
  expect(settings).toEqual({ ...defaults, [name]: value });
  const { needs, env = [] } = row as Setting;
  const lonely = name === "cluster" ? [expect.stringContaining("No store is named")] : [];
  const missing = [needs]
    .flat()
    .map((each) => `--${each}`)
    .join(" or ");
  expect(warnings).toEqual(needs === undefined || env.includes(variable) ? lonely : [`${variable} has no effect without ${missing}`]);
});

const flags = table.flatMap(([name, row]) =>
  [name, ...(row.aliases ?? [])].flatMap((each) => [each, each.replaceAll("_", "-")]).map((flag) => ({ name, row, flag })),
);

test.each(flags.filter(({ name }) => name !== "config"))("--$flag sets $name", async ({ name, row, flag }) => {
  const { text, value } = sample(row);
  expect((await load([`--${flag}=${text}`])).settings).toEqual({ ...defaults, [name]: value });
  const apart = row.type === "boolean" && value === true ? [`--${flag}`] : [`--${flag}`, text];
  expect((await load(apart)).settings[name]).toEqual(value);
});

test.each(table.filter(([name]) => name !== "config"))("%s can be set in the config file, as text or as its type", async (name, row) => {
  const { text, value } = sample(row);
  writeFileSync(path.join(folder, "text.json"), JSON.stringify({ [name]: text }));
  writeFileSync(path.join(folder, "typed.json"), JSON.stringify({ [name]: value }));
  expect((await load(["--config", "text.json"])).settings[name]).toEqual(value);
  expect((await load([], { DS_CONFIG: path.join(folder, "typed.json") })).settings[name]).toEqual(value);
});

test("the CPU limit of code runs can be turned off", async () => {
  expect((await load(["--run_cpus=0"])).settings.run_cpus).toBe(0);
});

test("an empty variable counts as unset and does not hide a lower source", async () => {
  writeFileSync(path.join(folder, ".env"), "DS_PORT=1234\n");
  const { settings } = await load([], { DS_PORT: "", DS_TOKEN: "", DS_CONFIG: "", SERVER_LISTEN_ADDR: "", DS_HTTPS: "" });
  expect(settings).toMatchObject({ port: 1234, token: [], config: null, host: null, https: false });
});

test("a repeated --token gives several tokens, with any characters", async () => {
  const { settings } = await load(["--token", "one", "--token=two, three", "--token", "007"]);
  expect(settings.token).toEqual(["one", "two, three", "007"]);
});

test.each([
  ["yes", true],
  ["ON", true],
  ["1", true],
  ["true", true],
  ["no", false],
  ["Off", false],
  ["0", false],
  ["false", false],
])("a boolean set to %s is %s, as a flag and as a variable", async (word, value) => {
  expect((await load([`--https=${word}`])).settings.https).toBe(value);
  expect((await load([], { DS_HTTPS: word })).settings.https).toBe(value);
});

test("--no-NAME overrides an enabling environment variable", async () => {
  expect((await load(["--no-https"], { DS_HTTPS: "true" })).settings.https).toBe(false);
});

test("a context that a flag names counts against an engine that the environment names, and not the other way round", async () => {
  const engineOf = async (argv: string[], env: Record<string, string>) => {
    const { docker_host, docker_context } = (await load(argv, env)).settings;
    return [docker_host, docker_context];
  };
  expect(await engineOf(["--docker_context=far"], { DOCKER_HOST: "tcp://near:1" })).toEqual([null, "far"]);
  expect(await engineOf(["--docker_host=tcp://near:1"], { DOCKER_CONTEXT: "far" })).toEqual(["tcp://near:1", "far"]);
  expect(await engineOf([], { DOCKER_HOST: "tcp://near:1", DOCKER_CONTEXT: "far" })).toEqual(["tcp://near:1", "far"]);
});
