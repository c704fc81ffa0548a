import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import fc from "fast-check";
import { loadSettings } from "../../../config/load";
import { SettingsError } from "../../../lib/support/settings-error";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), "docker-server-settings-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** The message of the SettingsError that loading throws; asserts that it is one line. */
async function refusal(argv: string[], env: NodeJS.ProcessEnv = {}): Promise<string> {
  const error = await loadSettings(argv, env, folder).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(SettingsError);
  const { message } = error as Error;
  expect(message).not.toContain("\n");
  return message;
}

test.each([
  [["--prt=1"], /^Unknown argument: prt \(did you mean --port\?\)$/],
  [["--tokenfile=x"], /^Unknown argument: tokenfile \(did you mean --token_file\?\)$/],
  [["--node=n1"], /^Unknown argument: node \(did you mean --node_env or --node_name\?\)$/],
  [["--cert=c"], /^Unknown argument: cert \(did you mean .*--https_cert.*\)$/],
  [["--tls"], /^Unknown argument: tls \(did you mean --https\?\)$/],
  [["--no-such-thing=x"], /^Unknown argument: no-such-thing; see docker-server --help$/],
  [["-p", "80"], /^Unknown argument: p; see docker-server --help$/],
  [["start"], /takes options only/],
  [["--", "start"], /takes options only/],
  [["--port"], /port/],
  [["--port=abc"], /^--port must be a number from 0 to 65535 \(got "abc"\)$/],
  [["--port=65536"], /^--port must be a number from 0 to 65535 \(Port to listen on\) \(got "65536"\)$/],
  [["--refresh_rate=30"], /^--refresh_rate must be a number of at least 100 \(Milliseconds /],
  [["--cache_interval=3"], /^--cache_interval must be a number of at least 50 \(Milliseconds /],
  [["--token", "x", "check"], /^A command comes first: docker-server check \[options\]$/],
  [["--port=-1"], /^--port must be a number/],
  [["--port="], /^--port must be a number/],
  [["--port=0x1p"], /^--port must be a number/],
  [["--port", "1", "--port", "2"], /^--port must be given once/],
  [["--image_keep=30d"], /^--image_keep must be a number of at least 0\.001, without a unit \(Hours .*\) \(got "30d"\)$/],
  [["--run_wait=NaN"], /^--run_wait must be a number of at least 0/],
  [["--https=maybe"], /^--https must be true or false \(got "maybe"\)$/],
  [["--docker-tls-verify=maybe"], /^--docker-tls-verify must be true or false/],
  [["--https", "yes"], /^--https takes a value only behind an equals sign: --https=true or --https=false$/],
  [["--cluster", "--accept", "no"], /^--accept takes a value only/],
  [["chekc"], /^Unknown command \(did you mean docker-server check\?\)$/],
  [["--check"], /^Unknown argument: check \(did you mean docker-server check\?\)$/],
  [["--token", "x", "--accept", "no"], /^--accept takes a value only behind an equals sign/],
  [["--allow", "privileged", "devices"], /^--allow takes one value: several are separated by commas, or given with --allow each$/],
  [
    ["--port", "80", "s3cret"],
    /^Unknown argument: besides the commands check and token this program takes options only, each with one value$/,
  ],
  [["--log_level=loud"], /^--log_level must be one of trace, debug, info, warn, error, fatal \(got "loud"\)$/],
  [["--allow=everything"], /^--allow must be one of privileged, /],
  [["--bind_roots=tmp"], /^--bind_roots must be an absolute path/],
  [["--trust_proxy=true"], /^--trust_proxy must be a number of proxies/],
  [["--trust_proxy=10.0.0.0/33"], /^--trust_proxy must be a number of proxies, or their addresses or networks/],
  [["--trust_proxy=haproxy"], /^--trust_proxy must be a number of proxies, or their addresses or networks/],
  [["--public_url=node-1:1717"], /^--public_url must be an origin/],
  [["--public_url=javascript:alert(1)"], /^--public_url must be an origin/],
  [["--public_url=https://node-1/console"], /^--public_url must be an origin/],
  [["--token=ds1_abc"], /^--token must not be a narrow token, .* by docker-server token narrow$/],
  [["--folder="], /^--folder must not be empty/],
  [["--host=localhost:8080"], /^--host must be an address or a name alone, such as 127.0.0.1; the port is --port/],
  [["--host=http://0.0.0.0"], /^--host must be an address or a name alone/],
])("%j is refused in one line", async (argv, message) => {
  expect(await refusal(argv)).toMatch(message);
});

test("settings without the switch that they need are told of", async () => {
  const warningsOf = async (argv: string[], env = {}) => (await loadSettings(argv, env, folder))?.warnings;
  expect(await warningsOf(["--folder=/mnt", "--https_key=k"], { DS_REDIS: "redis://h" })).toEqual([
    "--https_key has no effect without --https or --docker_tls_ca",
    "--folder has no effect without --cluster",
    "DS_REDIS has no effect without --cluster",
  ]);
  expect(await warningsOf(["--cluster", "--folder=/mnt", "--https", "--https_key=k"])).toEqual([]);
  expect(await warningsOf(["--docker_listen=tcp://0.0.0.0:1", "--docker_tls_ca=ca", "--https_key=k"])).toEqual([]);
  expect(await warningsOf(["--docker_socket_group=docker", "--s3_region=eu"])).toEqual([
    "--docker_socket_group has no effect without --docker_listen",
    "--s3_region has no effect without --s3",
  ]);
  expect(await warningsOf([], { AWS_REGION: "eu" })).toEqual([]);
});

test("one token with a comma is told of: it is not several", async () => {
  expect((await loadSettings([], { DS_TOKEN: "a,b" }, folder))?.warnings).toEqual([
    "DS_TOKEN is one token with a comma in it: for several repeat --token, or use --token_file",
  ]);
});

test.each([
  [["--cluster"], [expect.stringContaining("No store is named: nodes meet in /tmp/docker-server")]],
  [["--cluster", "--s3=bucket"], []],
  [["--cluster", "--s3=bucket", "--redis=redis://h"], ["--s3 has no effect beside --redis: a cluster has one store"]],
  [
    ["--cluster", "--folder=/mnt", "--advertise=http://10.0.0.1"],
    ["--advertise http://10.0.0.1 names no port, so the other nodes ask port 80; this node listens on 1717"],
  ],
  [["--cluster", "--folder=/mnt", "--advertise=https://10.0.0.1", "--port=443"], []],
  [["--cluster", "--folder=/mnt", "--advertise=http://localhost:1717"], [expect.stringContaining("can't reach this one there")]],
  [["--cluster", "--folder=/mnt", "--advertise=http://[::1]:1717"], [expect.stringContaining("can't reach this one there")]],
  [["--cluster", "--folder=/mnt", "--advertise=http://10.0.0.1:1717"], []],
])("with %j a node that others can't find warns", async (argv, expected) => {
  expect((await loadSettings(argv, {}, folder))?.warnings).toEqual(expected);
});

test.each(["1", "10.0.0.5", "10.0.0.0/8, fd00::/8", "10.0.0.0/255.0.0.0", "loopback"])("--trust_proxy=%s is accepted", async (value) => {
  expect((await loadSettings([`--trust_proxy=${value}`], {}, folder))?.settings.trust_proxy).toBe(value);
});

test.each([
  [{ DS_PORT: "abc" }, 'DS_PORT must be a number from 0 to 65535 (got "abc")'],
  [{ SERVER_LISTEN_PORT: "abc" }, 'SERVER_LISTEN_PORT must be a number from 0 to 65535 (got "abc")'],
  [{ DS_HTTPS: "perhaps" }, 'DS_HTTPS must be true or false (got "perhaps")'],
])("an invalid variable is named: %j", async (env, message) => {
  expect(await refusal([], env)).toBe(message);
});

test.each([
  ["[1]", /must hold a JSON object/],
  ["null", /must hold a JSON object/],
  ['{"prt": 1}', /unknown setting prt \(did you mean port\?\)$/],
  ['{"port": {}}', /^port in the config file must be a plain value/],
  ['{"port": [1, 2]}', /^port in the config file must be given once/],
  ['{"port": "x"}', /^port in the config file must be a number/],
  ['{"port": 1', /not valid JSON/],
])("the config file %s is refused in one line", async (text, message) => {
  writeFileSync(path.join(folder, "c.json"), text);
  expect(await refusal(["--config=c.json"])).toMatch(message);
});

test("an unreadable config file or .env is refused by name", async () => {
  expect(await refusal(["--config=nowhere.json"])).toMatch(/nowhere\.json can't be read/);
  expect(await refusal([], { DS_CONFIG: folder })).toMatch(/can't be read/);
  mkdirSync(path.join(folder, ".env"));
  expect(await refusal([])).toMatch(/^\.env can't be read/);
});

test("an unknown DS_ variable causes a warning with its name only; variables without DS_ are ignored", async () => {
  writeFileSync(path.join(folder, ".env"), "DS_TOKN=hunter2\n");
  const loaded = await loadSettings([], { DS_PRT: "1", DS_PORT: "1", PORT: "x", TOKEN: "x" }, folder);
  expect(loaded?.warnings).toHaveLength(2);
  expect(loaded?.warnings.join()).toMatch(/DS_TOKN.*DS_PRT/);
  expect(loaded?.warnings.join()).not.toContain("hunter2");
});

test("no error message contains a secret, whatever its source", async () => {
  const secret = "hunter2-S3cret";
  expect(await refusal([`--token=${secret}\0`])).not.toContain(secret);
  expect(await refusal([`--password=${secret}`, `--password=${secret}`])).not.toContain(secret);
  expect(await refusal([], { DS_PASSWORD: `${secret}\0` })).not.toContain(secret);
  expect(await refusal([], { API_ACCESS_TOKEN: `${secret}\0` })).not.toContain(secret);
  expect(await refusal(["--tokn", secret])).not.toContain(secret);
  expect(await refusal(["--token", secret, secret])).not.toContain(secret);
  for (const text of [`{"token": ${secret}}`, `{"token": "${secret}"`, `{"token": "x",\n${secret}}`, secret]) {
    writeFileSync(path.join(folder, "c.json"), text);
    const message = await refusal(["--config=c.json"]);
    for (const part of ["hunter", "S3cret"]) expect(message).not.toContain(part);
  }
});

test("any value yields settings or a one-line error", async () => {
  const value = fc.string({ unit: "grapheme" });
  await fc.assert(
    fc.asyncProperty(fc.constantFrom("port", "https", "log_level", "bind_roots", "host", "run_wait"), value, async (name, text) => {
      const asFlag = await loadSettings([`--${name}=${text}`], {}, folder).catch((error: unknown) => error);
      const asVariable = await loadSettings([], { [`DS_${name.toUpperCase()}`]: text }, folder).catch((error: unknown) => error);
      for (const outcome of [asFlag, asVariable]) {
        if (!(outcome instanceof Error)) continue;
        expect(outcome).toBeInstanceOf(SettingsError);
        expect(outcome.message).not.toContain("\n");
      }
    }),
    { numRuns: 60 },
  );
});
