import { ERROR_CODES } from "../../../lib/errors";
import { openApiDocument } from "../../../lib/openapi/document";
import { declaredRoutes } from "../../support/unit/declared-routes";

// biome-ignore lint/suspicious/noExplicitAny: a document of many shapes
const document = openApiDocument(declaredRoutes(), { title: "docker-server", version: "1.0.0" }) as any;
const operations = Object.values(document.paths).flatMap((methods) => Object.values(methods as Record<string, object>)) as {
  operationId: string;
  tags: string[];
}[];
const { schemas } = document.components;

test("every operation has a name of words and a tag that the document explains", () => {
  const known = document.tags.map(({ name }: { name: string }) => name);
  for (const { operationId, tags } of operations) {
    expect(operationId).toMatch(/^[a-z]+[A-Za-z]+$/);
    expect([operationId, tags.length, known.includes(tags[0])]).toEqual([operationId, 1, true]);
  }
  expect(document.info.description).toContain("Bearer");
});

test("the document says that /v1.NN is Docker's own API, and has none of its operations", () => {
  expect(document.info.description).toContain("/v1.NN");
  expect(Object.keys(document.paths).filter((path) => /^\/(?:v1|_ping|info$)/.test(path))).toEqual([]);
});

test("every body and every answer in JSON refers to a named schema, and every reference leads to one", () => {
  const references = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)].map(([, reference = ""]) => reference);
  for (const reference of references) expect(Object.keys(schemas)).toContain(reference.replace("#/components/schemas/", ""));
  expect(document.paths["/"].put.requestBody.content["application/json"].schema).toEqual({
    $ref: "#/components/schemas/RunContainerRequest",
  });
  expect(document.paths["/containers/{id}/start"].post.responses[200].content["application/json"].schema).toEqual({
    $ref: "#/components/schemas/Container",
  });
  expect(schemas.ListContainersResponse.properties.containers.items).toEqual({ $ref: "#/components/schemas/Container" });
});

test("error codes are an enumeration of all of the catalogue", () => {
  expect(schemas.ErrorCode.enum).toEqual(ERROR_CODES);
  expect(JSON.stringify(schemas.Error.properties.code)).toContain("#/components/schemas/ErrorCode");
});

test("a second name of a field is deprecated and has the type of the first", () => {
  const { properties, required } = schemas.RunContainerRequest;
  expect(properties.remove).toEqual({ ...properties.auto_remove, deprecated: true, description: "Another name of auto_remove" });
  expect(required).toEqual(["image"]);
  expect(schemas.ExecRequest.anyOf).toEqual([{ required: ["data"] }, { required: ["command"] }]);
});

test("patterns are such as other languages than JavaScript understand, too", () => {
  const patterns: string[] = [];
  JSON.stringify(document, (key, value) => {
    if (key === "pattern" && typeof value === "string") patterns.push(value);
    return value;
  });
  expect(new Set(patterns).size).toBeGreaterThan(30);
  expect(patterns.filter((pattern) => /\\p\{|\(\?<\w/i.test(pattern))).toEqual([]);
});
