import fc from "fast-check";
import { Signatures } from "../../../../lib/cluster/rpc/signatures";
import { SignedChannel } from "../../../../lib/cluster/rpc/signed-channel";

/** Deriving a key takes longer than the tests themselves, so each is derived once a side. */
const derived = new Map<string, Signatures>();
function signaturesOf(side: string, key: string): Signatures {
  const signatures = derived.get(`${side} ${key}`) ?? new Signatures([key]);
  derived.set(`${side} ${key}`, signatures);
  return signatures;
}

/** Both sides of a connection; their keys and session ids can differ. */
const sides = (clientKey = "key", serverKey = "key", sessions = ["session", "session"]) =>
  [
    new SignedChannel(signaturesOf("client", clientKey), sessions[0] as string, "asks"),
    new SignedChannel(signaturesOf("server", serverKey), sessions[1] as string, "answers"),
  ] as const;

test("each side reads any text that the other sends, in order", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), fc.string({ unit: "grapheme" }))), (messages) => {
      const [client, server] = sides();
      for (const [fromClient, text] of messages)
        expect(fromClient ? server.unwrap(client.wrap(text)) : client.unwrap(server.wrap(text))).toBe(text);
    }),
  );
});

test("a message that was altered, cut or lengthened is refused", () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1 }), fc.nat(), fc.integer({ min: 1, max: 255 }), (text, at, by) => {
      const [client, server] = sides();
      const message = client.wrap(text);
      const place = at % message.length;
      const altered = message.slice(0, place) + String.fromCharCode(message.charCodeAt(place) ^ by) + message.slice(place + 1);
      for (const wrong of [altered, message.slice(0, place), `${message}x`]) expect(() => server.unwrap(wrong)).toThrow("signature");
    }),
  );
});

test("a message that is repeated, out of order, reflected or from another connection is refused", () => {
  const [client, server] = sides();
  const [first, second] = [client.wrap("first"), client.wrap("second")];
  expect(() => server.unwrap(second)).toThrow();
  expect(() => client.unwrap(first)).toThrow();
  expect(server.unwrap(first)).toBe("first");
  expect(() => server.unwrap(first)).toThrow();
  expect(server.unwrap(second)).toBe("second");
  const [, otherSession] = sides("key", "key", ["session", "another"]);
  expect(() => otherSession.unwrap(first)).toThrow();
  const [, otherKey] = sides("key", "another");
  expect(() => otherKey.unwrap(first)).toThrow();
});
