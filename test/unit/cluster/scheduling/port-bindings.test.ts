import { bindingsOf, collide } from "../../../../lib/cluster/scheduling/port-bindings";

describe("collide", () => {
  test.each([
    ["127.0.0.1:80/tcp", "127.0.0.2:80/tcp", false],
    ["127.0.0.1:80/tcp", "127.0.0.1:80/tcp", true],
    ["127.0.0.1:80/tcp", "127.0.0.1:80/udp", false],
    ["127.0.0.1:80/tcp", "127.0.0.1:81/tcp", false],
    ["127.0.0.1:80/tcp", "0.0.0.0:80/tcp", true],
    ["0.0.0.0:80/tcp", "[::]:80/tcp", false],
    ["127.0.0.1:80/tcp", "[::]:80/tcp", false],
    ["[::1]:80/tcp", "[::]:80/tcp", true],
    ["[::1]:80/tcp", "127.0.0.1:80/tcp", false],
    [":80/tcp", "127.0.0.1:80/tcp", true],
    [":80/tcp", "[::1]:80/tcp", true],
    [":80/tcp", ":80/udp", false],
  ])("two containers can't have both %s and %s: %s", (one, other, expected) => {
    expect([collide(one, other), collide(other, one)]).toEqual([expected, expected]);
  });
});

test("a node of an earlier version asks for ports at all addresses", () => {
  expect(bindingsOf({ ports: ["80/tcp"] })).toEqual([":80/tcp"]);
  expect(bindingsOf({ ports: ["80/tcp"], bindings: ["127.0.0.1:80/tcp"] })).toEqual(["127.0.0.1:80/tcp"]);
});
