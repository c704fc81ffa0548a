import fc from "fast-check";
import type { Row } from "../../../lib/docker-api/row";
import { DOCKER_ROWS } from "../../../lib/docker-api/rows";

const mixedCase = (word: string) => fc.mixedCase(fc.constant(word));
/** Go's decoder of JSON takes these for the field. */
const spelled = (field: string) =>
  fc.oneof(
    { weight: 8, arbitrary: fc.constant(field) },
    mixedCase(field),
    fc.constant(field.replaceAll(/[kK]/g, "\u212a").replaceAll(/[sS]/g, "\u017f")),
    fc.constant(`\\u00${field.charCodeAt(0).toString(16)}${field.slice(1)}`),
    fc.constant(`${field}\\u0000`),
  );

/** Fields that would give a container more of the host. */
const HARMFUL: [string, string][] = [
  ["Privileged", "true"],
  ["Binds", '["/escape:/e"]'],
  ["Mounts", '[{"Type":"bind","Source":"/escape","Target":"/e"}]'],
  ["NetworkMode", '"host"'],
  ["PidMode", '"host"'],
  ["CapAdd", '["SYS_ADMIN"]'],
  ["Devices", '[{"PathOnHost":"/dev/escape"}]'],
  ["SecurityOpt", '["escape"]'],
  ["CgroupParent", '"/escape"'],
  ["Runtime", '"escape"'],
  ["LogConfig", '{"Type":"escape"}'],
  ["DriverOpts", '{"type":"none","o":"bind","device":"/escape"}'],
  ["Driver", '"escape"'],
];
const member = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.constantFrom(...HARMFUL).chain(([field, value]) => spelled(field).map((name) => `"${name}":${value}`)),
  },
  fc.constantFrom(...HARMFUL).map(([field]) => `"${field}":null`),
  fc.constantFrom('"Image":"busybox"', '"Name":"n"', '"Cmd":["x"]', '"Memory":9007199254740993', '"Nosuch":1', '"__proto__":{}'),
);
const object = fc.array(member, { maxLength: 2 }).map((each) => `{${each.join(",")}}`);
const hostConfig = fc.tuple(spelled("HostConfig"), object).map(([name, value]) => `"${name}":${value}`);
const container = (more: fc.Arbitrary<string>) =>
  fc.array(more, { minLength: 1, maxLength: 2 }).map((each) => `{${['"Image":"busybox"', ...each].join(",")}}`);
const body = fc.oneof(
  { weight: 4, arbitrary: container(hostConfig) },
  container(fc.oneof(hostConfig, member)),
  { weight: 2, arbitrary: object },
  fc.constantFrom(
    "",
    "null",
    "[]",
    "{",
    "{}{}",
    "\xef\xbb\xbf{}",
    "{}\0",
    "[".repeat(20_000),
    '{"a":'.repeat(5000),
    "Image=x&Privileged=true",
  ),
  fc.json(),
);

const changed = (word: string) =>
  fc.oneof(
    { weight: 8, arbitrary: fc.constant(word) },
    mixedCase(word),
    fc.constantFrom(`${word}/`, `/${word}`, `${word}%00`, `%2e%2e/${word}`),
  );
const prefix = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom("/v1.41", "/v1.51", "") },
  fc.constantFrom(
    "/v1.23",
    "/v1.999",
    "/v1.0041",
    "/V1.41",
    "/v1.",
    "/v2.0",
    "//v1.41",
    "/v1.41/..",
    "/%761.41",
    "http://x/v1.41",
    "/v1.41/v1.41",
    "*",
  ),
);
const objectName = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom("web", "a".repeat(64)) },
  fc.constantFrom(
    "..",
    "%2e%2e",
    "web%2Fjson",
    "web%2F..%2F..%2Fswarm",
    "%00",
    "%ff",
    "%",
    "we b",
    "WEB",
    "a".repeat(9000),
    "docker-server-job-1",
    "\xc3\xa9",
  ),
);
const value = fc.constantFrom(
  "1",
  "",
  "true",
  "%00",
  "%",
  "..",
  "[",
  "{}",
  '{"label":["x"]}',
  "escape",
  "http://escape/",
  "host",
  "a:b:c",
  "-1",
  "9".repeat(30),
);
const query = (row: Row) => {
  const names = [...row.query, ...(row.ignored ?? []), "remote", "fromSrc", "node"];
  return fc
    .array(fc.tuple(fc.constantFrom(...names).chain(changed), value), { maxLength: 4 })
    .map((pairs) => pairs.map((each) => each.join("=")).join("&"));
};
const header = fc.constantFrom(
  "Content-Type: application/x-www-form-urlencoded",
  "Content-Encoding: gzip",
  "X-HTTP-Method-Override: DELETE",
  "Connection: Upgrade\r\nUpgrade: tcp",
  "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==",
  "Expect: 100-continue",
  "X-Registry-Auth: escape",
  "Content-Length: 3",
  "Transfer-Encoding: gzip",
  "Transfer-Encoding : chunked",
  "X-Docker-Server-Peer: x",
  "Sec-Fetch-Site: cross-site",
  " folded",
  "X-Escape: a\0b",
);
const method = (row: Row) =>
  fc.oneof(
    { weight: 8, arbitrary: fc.constant(row.method === "*" ? "GET" : row.method) },
    fc.constantFrom("GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS", "TRACE", "post"),
  );
const framed = fc
  .tuple(body, fc.boolean())
  .map(([content, chunked]) =>
    chunked
      ? `Transfer-Encoding: chunked\r\n\r\n${content === "" ? "" : `${content.length.toString(16)}\r\n${content}\r\n`}0\r\n\r\n`
      : `Content-Length: ${content.length}\r\n\r\n${content}`,
  );
const JUDGED = DOCKER_ROWS.filter((row) => row.body === "json");
const CREATE = DOCKER_ROWS.filter((row) => row.path === "/containers/create");
/** Half of the requests are right there, so that what is wrong elsewhere is reached. */
const orNone = <T>(arbitrary: fc.Arbitrary<T>, none: T) => fc.oneof(fc.constant(none), arbitrary);
/** A request to one of the rows, as bytes: most have something wrong. */
export const malformedDockerRequest = fc.oneof(...[DOCKER_ROWS, JUDGED, CREATE].map((rows) => fc.constantFrom(...rows))).chain((row) =>
  fc
    .tuple(
      method(row),
      prefix,
      objectName,
      changed(row.path),
      orNone(query(row), ""),
      orNone(fc.array(header, { maxLength: 2 }), []),
      framed,
    )
    .map(([verb, start, name, target, search, headers, rest]) => {
      const url = `${start}${target.replace(/[:*](?:id|name|rest)/i, name)}${search === "" ? "" : `?${search}`}`;
      return `${[`${verb} ${url} HTTP/1.1`, "Host: x", "Connection: close", ...headers, rest].join("\r\n")}`;
    }),
);
