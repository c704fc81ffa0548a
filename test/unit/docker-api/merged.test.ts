import type { DockerCall } from "../../../lib/docker-api/call";
import { MergedAnswers } from "../../../lib/docker-api/merged";
import type { Answers, Nodes } from "../../../lib/docker-api/nodes";
import { matchRow } from "../../../lib/docker-api/row";
import { DOCKER_ROWS } from "../../../lib/docker-api/rows";

/** What a client gets when the nodes answer a prune like this. */
async function prune(answers: [node: string, status: number, json: object][], missing: Answers["missing"] = []) {
  const nodes = {
    poolFor: () => ({}),
    askAll: async () => ({
      answers: answers.map(([node, status, json]) => ({ node, value: { status, headers: {}, body: Buffer.from(JSON.stringify(json)) } })),
      missing,
    }),
  } as unknown as Nodes;
  const headers = new Map<string, unknown>();
  const sent: Buffer[] = [];
  const response = {
    statusCode: 0,
    setHeader: (name: string, value: unknown) => void headers.set(name.toLowerCase(), value),
    end: (body: Buffer) => void sent.push(body),
  };
  const matched = matchRow(DOCKER_ROWS, "POST", ["containers", "prune"]);
  const call = { ...matched, response, query: new URLSearchParams() } as unknown as DockerCall;
  await new MergedAnswers({} as never, nodes, "pool").answer(call, "prune");
  return { status: response.statusCode, headers, json: JSON.parse(Buffer.concat(sent).toString()) };
}

const PRUNED = { ContainersDeleted: ["a"], SpaceReclaimed: 5 };

describe("a prune", () => {
  test("of all nodes is the sum of what they removed", async () => {
    const { status, json } = await prune([
      ["n1", 200, PRUNED],
      ["n2", 200, { ContainersDeleted: ["b"], SpaceReclaimed: 2 }],
    ]);
    expect([status, json]).toEqual([200, { ContainersDeleted: ["a", "b"], SpaceReclaimed: 7 }]);
  });

  test("that one engine refuses is an error with its status, which names the nodes and has what was removed", async () => {
    const { status, json, headers } = await prune([
      ["n1", 200, PRUNED],
      ["n2", 409, { message: 'a prune operation is "already" running' }],
    ]);
    expect(status).toBe(409);
    expect(json).toEqual({ message: 'Pruned on n1 only: node n2: a prune operation is "already" running', ...PRUNED });
    expect(headers.get("x-cluster-missing")).toContain("n2");
  });

  test("that misses a node is a 503", async () => {
    const { status, json } = await prune([["n1", 200, PRUNED]], [{ node: "n3", reason: "no answer" }]);
    expect([status, json.message]).toEqual([503, "Pruned on n1 only: node n3: no answer"]);
  });
});

test("the filter `node` names the nodes that are asked, and no engine gets it", async () => {
  const asked: [string | null, readonly string[] | undefined][] = [];
  const nodes = {
    poolFor: () => ({}),
    namesFor: () => ["n1", "n2"],
    askAll: async ({ query }: { query: URLSearchParams }, _call: unknown, only?: readonly string[]) => {
      asked.push([query.get("filters"), only]);
      return { answers: [{ node: "n2", value: { status: 200, headers: {}, body: Buffer.from("[]") } }], missing: [] };
    },
  } as unknown as Nodes;
  const list = (filters: object) => {
    const response = { locals: {}, setHeader: () => undefined, end: () => undefined };
    const query = new URLSearchParams({ filters: JSON.stringify(filters) });
    const call = { ...matchRow(DOCKER_ROWS, "GET", ["containers", "json"]), response, query, access: { key: "" } } as unknown as DockerCall;
    return new MergedAnswers({} as never, nodes, "pool").answer(call, "containers");
  };
  await list({ node: ["n2"], name: ["web"] });
  await list({ name: { web: true } });
  expect(asked).toEqual([
    ['{"name":["web"]}', ["n2"]],
    ['{"name":{"web":true}}', undefined],
  ]);
  await expect(list({ node: ["n3"] })).rejects.toMatchObject({ status: 400, message: expect.stringContaining("n1, n2") });
});

test("the list of containers of a node alone is the engine's, byte for byte", async () => {
  const body = Buffer.from('[ {"Id":"a","Created":1},{"Id":"b","Created":2} ]');
  const askAll = async () => ({
    answers: [{ node: "n1", value: { status: 200, headers: { "content-type": "application/json" }, body } }],
    missing: [],
  });
  const sent: Buffer[] = [];
  const response = { locals: {}, setHeader: () => undefined, end: (bytes: Buffer) => void sent.push(bytes) };
  const matched = matchRow(DOCKER_ROWS, "GET", ["containers", "json"]);
  const call = { ...matched, response, query: new URLSearchParams(), access: { key: "" } } as unknown as DockerCall;
  await new MergedAnswers({} as never, { poolFor: () => undefined, askAll } as unknown as Nodes, "pool").answer(call, "containers");
  expect(sent).toEqual([body]);
});

test.each([
  ["2", "1", null],
  ["0", null, null],
  [undefined, null, null],
])("since a container, a limit of %s asks the engines for all=%s", async (limit, all, passed) => {
  const asked: URLSearchParams[] = [];
  const nodes = {
    poolFor: () => ({}),
    holders: async () => ({ found: [{ node: "n1", json: { Id: "a", Created: "2026-01-01T00:00:00Z" } }], missing: [] }),
    askAll: async ({ query }: { query: URLSearchParams }) => {
      asked.push(query);
      return { answers: [{ node: "n1", value: { status: 200, headers: {}, body: Buffer.from("[]") } }], missing: [] };
    },
  } as unknown as Nodes;
  const query = new URLSearchParams({ since: "web", ...(limit === undefined ? {} : { limit }) });
  const response = { locals: {}, setHeader: () => undefined, end: () => undefined };
  const call = { ...matchRow(DOCKER_ROWS, "GET", ["containers", "json"]), response, query, access: { key: "" } } as unknown as DockerCall;
  await new MergedAnswers({} as never, nodes, "pool").answer(call, "containers");
  expect(asked.map((each) => [each.get("all"), each.get("limit"), each.get("since")])).toEqual([[all, passed, null]]);
});
