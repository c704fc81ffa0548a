import { Access } from "../../../lib/access/access";
import type { DockerCall } from "../../../lib/docker-api/call";
import { ImageSupply, splitReference } from "../../../lib/docker-api/image-supply";
import type { Nodes, Question } from "../../../lib/docker-api/nodes";

const callOf = (query: Record<string, string>, headers: Record<string, string> = {}, identity = "root") =>
  ({
    request: { headers },
    response: { locals: { identity } },
    query: new URLSearchParams(query),
    access: Access.full,
  }) as unknown as DockerCall;

/** Brings an image to n2, whose engine answers with this progress. @returns the question that n2 was asked, and whether it has the image */
async function bring(supply: ImageSupply, asked: Question[], image: string, call = callOf({})) {
  const brought = await supply.bring(image, "n2", call);
  return { brought, question: asked.at(-1) as Question };
}

function supplyWith(status: number, progress: string) {
  const asked: Question[] = [];
  const ask = async (_node: string, question: Question) => {
    asked.push(question);
    return { status, headers: {}, body: Buffer.from(progress) };
  };
  return { supply: new ImageSupply({ ask } as unknown as Nodes), asked };
}

test.each([
  ["busybox", "busybox", "latest"],
  ["busybox:1.36", "busybox", "1.36"],
  ["10.0.0.1:5000/a/b", "10.0.0.1:5000/a/b", "latest"],
  ["10.0.0.1:5000/a/b:c", "10.0.0.1:5000/a/b", "c"],
  ["a/b:c@sha256:0123", "a/b", "sha256:0123"],
])("the reference %s names %s and %s", (image, name, tag) => {
  expect(splitReference(image)).toEqual({ name, tag });
});

describe("an image that is brought to a node", () => {
  test("is pulled with the credentials of the same client's last pull from that registry", async () => {
    const { supply, asked } = supplyWith(200, '{"status":"Pull complete"}\n');
    supply.remember(callOf({ fromImage: "reg.example:5000/a" }, { "x-registry-auth": "secret" }));
    const { brought, question } = await bring(supply, asked, "reg.example:5000/b:1", callOf({ platform: "linux/amd64" }));
    expect([brought, `${question.query}`, question.headers]).toEqual([
      true,
      "fromImage=reg.example%3A5000%2Fb&tag=1&platform=linux%2Famd64",
      { "x-registry-auth": "secret" },
    ]);
    expect((await bring(supply, asked, "other.example/b")).question.headers).toEqual({});
    expect((await bring(supply, asked, "reg.example:5000/b", callOf({}, {}, "another"))).question.headers).toEqual({});
  });

  test.each([
    [200, '{"status":"Pulling"}\n{"errorDetail":{"message":"no"},"error":"no"}\n'],
    [404, '{"message":"manifest unknown"}'],
  ])("is not there if the pull fails with %i %s", async (status, progress) => {
    const { supply, asked } = supplyWith(status, progress);
    expect((await bring(supply, asked, "busybox")).brought).toBe(false);
  });
});
