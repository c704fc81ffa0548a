import fc from "fast-check";
import { NameEvents } from "../../../../lib/docker/containers/name-events";

const event = (Action: string, Attributes: object) => `${JSON.stringify({ Type: "container", Action, Actor: { ID: "a", Attributes } })}\n`;

test("a created and a renamed container give a name, and a managed one its alias too; other events give none", () => {
  const events = [
    event("create", { name: "web" }),
    event("start", { name: "web" }),
    event("rename", { name: "böb", oldName: "/web" }),
    event("create", { name: "c1", "docker-server.alias": "shop" }),
    event("destroy", { name: "web" }),
  ];
  expect(new NameEvents().read(Buffer.from(events.join("")))).toEqual(["web", "böb", "c1", "shop"]);
});

test("an event that can't be read, or has no name, stands for any name", () => {
  expect(new NameEvents().read(Buffer.from("nonsense\n"))).toEqual([undefined]);
  expect(new NameEvents().read(Buffer.from('{"Action":"create"}\n'))).toEqual([undefined]);
});

test("events are read wherever the stream is cut", () => {
  const stream = Buffer.from(event("create", { name: "wéb" }) + event("rename", { name: "db" }));
  fc.assert(
    fc.property(fc.uniqueArray(fc.integer({ min: 1, max: stream.length - 1 }), { maxLength: 10 }), (cuts) => {
      const places = [0, ...cuts.sort((a, b) => a - b), stream.length];
      const names = new NameEvents();
      expect(places.slice(1).flatMap((end, index) => names.read(stream.subarray(places[index], end)))).toEqual(["wéb", "db"]);
    }),
  );
});
