import { loggedMessage, outcomeFields } from "../../../lib/http/audit-fields";
import type { Route } from "../../../lib/http/route";
import { Reply } from "../../../lib/support/reply";

const best = { where: { at: "bestNode" }, permission: "containers" } as unknown as Route;
const JSON_TYPE = { "content-type": "application/json; charset=utf-8" };

describe("outcomeFields", () => {
  test("tell what was asked for, what was made, and on which node, of an answer here or of another node", () => {
    const answer = { id: "1".repeat(64), name: "made", host: "n2", env: { SECRET: "x" } };
    const fields = { image: "redis", name: "made", id: "1".repeat(64), ran_on: "n2" };
    const asked = { image: "redis", name: "asked", env: { SECRET: "x" } };
    expect(outcomeFields(best, asked, new Reply(200, answer), { node: "n2" })).toEqual(fields);
    expect(outcomeFields(best, asked, new Reply(200, Buffer.from(JSON.stringify(answer)), JSON_TYPE), { node: "n2" })).toEqual(fields);
  });

  test("read nothing of what a program has written", () => {
    const run = { ...best, permission: "run" } as Route;
    expect(outcomeFields(run, { image: "runner" }, new Reply(200, { name: "forged" }), { node: "n1" })).toEqual({
      image: "runner",
      ran_on: "n1",
    });
  });

  test("of a request to all nodes tell no node", () => {
    const all = { ...best, where: { at: "everyOutcome" } } as Route;
    expect(outcomeFields(all, { image: "redis" }, new Reply(200, { id: "a" }), { node: "n1" })).toEqual({ image: "redis" });
  });

  test.each([null, "text", Buffer.from("no JSON"), [], {}])("of the answer %j are none", (body) => {
    expect(outcomeFields(best, undefined, new Reply(200, body, JSON_TYPE), undefined)).toEqual({});
  });
});

test("the message of a parser, which quotes the body, is not logged; others are, up to a length", () => {
  expect(loggedMessage('Unexpected token in {"password": "x"}', true)).toEqual({});
  expect(loggedMessage("m".repeat(1000), false).message).toHaveLength(300);
});
