import { z } from "zod";
import { command, flag, text } from "../../../lib/http/fields";
import { readInput } from "../../../lib/http/input";
import { changeBody, createBody } from "../../../lib/routes/schemas/managed-bodies";
import { oneOffRunBody } from "../../../lib/routes/schemas/one-off-run";
import { rootRunBody } from "../../../lib/routes/schemas/root-run";

const schema = z
  .object({ image: text, command: command.optional(), env: z.record(text, text).optional(), auto_remove: flag.default(false) })
  .strict();
const read = (body: object) => readInput(schema, body);

/** The code and the message of the refusal. */
function refusalOf(work: () => unknown): [code: string, message: string] {
  try {
    work();
  } catch (error) {
    const { clientCode, message } = error as { clientCode: string; message: string };
    return [clientCode, message];
  }
  throw new Error("it was accepted");
}

describe("names of fields", () => {
  test("a field has its canonical name or its other one", () => {
    const fields = { image: "a", command: ["echo", "x"], env: { A: "b" }, auto_remove: true };
    expect(read({ image: "a", command: "echo x", env: { A: "b" }, auto_remove: true })).toEqual(fields);
    expect(read({ image: "a", data: "echo x", env_vars: { A: "b" }, remove: "true" })).toEqual(fields);
  });

  test("both names of a field are refused", () => {
    expect(refusalOf(() => read({ image: "a", data: "x", command: "x" }))).toEqual([
      "INVALID_DATA",
      "data is the same as command: give one of the two",
    ]);
  });

  test("an error names a field as the client did", () => {
    expect(refusalOf(() => read({ image: "a", env_vars: { A: 1 } }))).toEqual(["INVALID_ENV_VARS", "env_vars.A must be text"]);
  });

  test("where a schema has a field of such a name, it is that field", () => {
    expect(readInput(z.object({ data: text }).strict(), { data: "x" })).toEqual({ data: "x" });
  });

  test("another name is not known where the field isn't", () => {
    expect(refusalOf(() => readInput(z.object({ name: text }).strict(), { name: "a", data: "x" }))[1]).toMatch(/^data is not known here/);
  });

  test.each([
    ["comand", "comand is not known here (did you mean command?): known are image, command, env, auto_remove"],
    ["environment", "environment is not known here (did you mean env?): known are image, command, env, auto_remove"],
    ["env_var", "env_var is not known here (did you mean env?): known are image, command, env, auto_remove"],
    ["cmd", "cmd is not known here (did you mean command?): known are image, command, env, auto_remove"],
    ["rm", "rm is not known here (did you mean auto_remove?): known are image, command, env, auto_remove"],
    ["node", "node is not known here: a node is named in the address, as ?node=NAME; known are image, command, env, auto_remove"],
    ["node_name", "node_name is not known here: a node is named in the address, as ?node=NAME; known are image, command, env, auto_remove"],
    ["wait", "wait is not known here: known are image, command, env, auto_remove"],
    ["quantity", "quantity is not known here: known are image, command, env, auto_remove"],
  ])("the unknown field %s is refused with those that are known and the nearest", (name, message) => {
    expect(refusalOf(() => read({ image: "a", [name]: "x" }))).toEqual([`INVALID_${name.toUpperCase()}`, message]);
  });

  test("a time limit of a run is refused with the option that sets it", () => {
    const message = refusalOf(() => readInput(oneOffRunBody.strict(), { image: "a", timeout: 5 }))[1];
    expect(message).toMatch(/^timeout is not known here: the server's option --run_max_time limits all runs; known are image, /);
  });

  test("a required field in capitals is named rather than missed", () => {
    expect(refusalOf(() => readInput(createBody.strict(), { Image: "a" }))[1]).toMatch(/^Image is not known here \(did you mean image\?\)/);
  });

  test("a change of a managed container's command is refused with the reason", () => {
    expect(refusalOf(() => readInput(changeBody.strict(), { command: "x" }))[1]).toMatch(
      /^command is not known here: a managed container keeps the command that it was created with; /,
    );
  });

  test("a port that a managed container can't have is refused with the form that it can", () => {
    expect(refusalOf(() => readInput(createBody, { image: "a", ports: ["80:8090:80"] }))[1]).toBe(
      'ports.0 must be [host port:]container port[/protocol], such as "8080:80"',
    );
  });

  test("a text where fields are wanted is refused with their names", () => {
    expect(refusalOf(() => readInput(createBody, { image: "a", healthcheck: "curl localhost" }))[1]).toMatch(
      /^healthcheck must hold fields: known are cmd, interval, /,
    );
  });

  test.each(["CMD-SHELL wget localhost", "CMD true", "NONE", ["CMD-SHELL", "true"]])(
    "the health command %j is refused with its form",
    (cmd) => {
      expect(refusalOf(() => readInput(createBody, { image: "a", healthcheck: { cmd } }))[1]).toMatch(
        /^healthcheck\.cmd must be text for the container's shell, such as .*, without CMD or CMD-SHELL; disable is for no health check$/,
      );
    },
  );

  test("a command as the text of a JSON list is that list; a text that only begins like one is refused", () => {
    expect(read({ image: "a", command: '["echo", "a b"]' }).command).toEqual(["echo", "a b"]);
    expect(read({ image: "a", command: '[ "a b" = "c" ]' }).command).toEqual(["[", "a b", "=", "c", "]"]);
    for (const command of ['["echo", a b]', "['echo', 'a']", '["sh", {"a": 1}]'])
      expect(refusalOf(() => read({ image: "a", command }))[1]).toMatch(
        /command must be a list such as .*: this text begins like one, and is no JSON list of texts$/,
      );
  });

  test("labels are a map, or a list of name=value as forms and Docker's users write them", () => {
    const labels = (given: unknown) => (readInput(rootRunBody, { image: "a", labels: given }) as { labels?: unknown }).labels;
    for (const given of [{ a: "b" }, ["a=b"], { 0: "a=b" }, "a=b"]) expect(labels(given)).toEqual({ a: "b" });
    expect(labels({ 2024: "a=b" })).toEqual({ 2024: "a=b" });
  });

  test("an unknown field that a field holds is told with its place", () => {
    const grouped = z.object({ name: text, limits: z.object({ memory: text.optional() }).strict().nullish() }).strict();
    expect(refusalOf(() => readInput(grouped, { name: "a", memory: "1g" }))[1]).toBe(
      "memory is not known here (did you mean limits.memory?): known are name, limits",
    );
    expect(refusalOf(() => readInput(createBody.strict(), { image: "a", memory: "1g" }))[1]).toMatch(/did you mean resources\.memory\?/);
  });

  test("an unknown field within a field is compared with its neighbours", () => {
    const nested = z.object({ check: z.object({ interval: text.optional(), retries: text.optional() }).strict() }).strict();
    expect(refusalOf(() => readInput(nested, { check: { intervall: "x" } }))[1]).toBe(
      "check.intervall is not known here (did you mean interval?): known are interval, retries",
    );
  });
});

test("a tag may have 128 characters, however many bytes or code units each takes", () => {
  const tagged = (count: number) => readInput(createBody, { image: "a", tags: ["\u{1D54F}".repeat(count)] });
  expect(tagged(128).tags).toHaveLength(1);
  expect(() => tagged(129)).toThrow(/up to 128 characters/);
});
