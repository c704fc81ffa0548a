import fc from "fast-check";
import { Signatures } from "../../../../lib/cluster/rpc/signatures";
import { SignedChannel } from "../../../../lib/cluster/rpc/signed-channel";

const ends = (asker = "key", answerer = "key", sessions = ["session", "session"]) =>
  [
    new SignedChannel(new Signatures([asker]), sessions[0] as string, "asks"),
    new SignedChannel(new Signatures([answerer]), sessions[1] as string, "answers"),
  ] as const;

test("what either end sends the other reads, in order, whatever is in it", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), fc.string({ unit: "grapheme" }))), (messages) => {
      const [asker, answerer] = ends();
      for (const [asks, text] of messages) expect(asks ? answerer.unwrap(asker.wrap(text)) : asker.unwrap(answerer.wrap(text))).toBe(text);
    }),
  );
});

test("a message is refused that was altered anywhere, cut or lengthened", () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1 }), fc.nat(), fc.integer({ min: 1, max: 255 }), (text, at, by) => {
      const [asker, answerer] = ends();
      const message = asker.wrap(text);
      const place = at % message.length;
      const altered = message.slice(0, place) + String.fromCharCode(message.charCodeAt(place) ^ by) + message.slice(place + 1);
      for (const wrong of [altered, message.slice(0, place), `${message}x`]) expect(() => answerer.unwrap(wrong)).toThrow("signature");
    }),
  );
});

test("a message is refused that comes twice, out of order, back to its sender, or from another link", () => {
  const [asker, answerer] = ends();
  const [first, second] = [asker.wrap("first"), asker.wrap("second")];
  expect(() => answerer.unwrap(second)).toThrow();
  expect(() => asker.unwrap(first)).toThrow();
  expect(answerer.unwrap(first)).toBe("first");
  expect(() => answerer.unwrap(first)).toThrow();
  expect(answerer.unwrap(second)).toBe("second");
  const [, elsewhere] = ends("key", "key", ["session", "another"]);
  expect(() => elsewhere.unwrap(first)).toThrow();
  const [, stranger] = ends("key", "another");
  expect(() => stranger.unwrap(first)).toThrow();
});
