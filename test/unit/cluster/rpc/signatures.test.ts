import fc from "fast-check";
import { type PeerRequest, Signatures } from "../../../../lib/cluster/rpc/signatures";

const text = fc.string({ unit: "binary" });
const anyRequest: fc.Arbitrary<PeerRequest> = fc.record({
  from: text,
  to: text,
  method: text,
  url: text,
  caller: text,
  left: fc.integer(),
});
const request: PeerRequest = { from: "n1", to: "n2", method: "PUT", url: "/?explain=1", caller: "anna", left: 1000 };
const signatures = new Signatures(["key"]);
/** Another node's: deriving keys takes longer than the tests themselves. */
const receiver = new Signatures(["key"]);

test("any request that one node signs is verified by another with the same key", () => {
  fc.assert(
    fc.property(anyRequest, (signed) => {
      expect(receiver.verifyRequest(signatures.signRequest(signed), signed)).toMatchObject(signed);
    }),
  );
});

test("a signed header is accepted once; signing the same request again gives another", () => {
  const [first, second] = [signatures.signRequest(request), signatures.signRequest(request)];
  expect(receiver.verifyRequest(first, request)).toMatchObject(request);
  expect(receiver.verifyRequest(first, request)).toBeUndefined();
  expect(receiver.verifyRequest(second, request)).toMatchObject(request);
});

test("a header is refused for another method, URL or node, and the attempt does not use it up", () => {
  fc.assert(
    fc.property(fc.constantFrom("method" as const, "url" as const, "to" as const), text, (field, other) => {
      fc.pre(other !== request[field]);
      const header = signatures.signRequest(request);
      expect(receiver.verifyRequest(header, { ...request, [field]: other })).toBeUndefined();
      expect(receiver.verifyRequest(header, request)).toMatchObject(request);
    }),
  );
});

test.each([
  ["from", "n3"],
  ["to", "n3"],
  ["method", "DELETE"],
  ["url", "/other"],
  ["caller", "root"],
  ["left", 1_000_000],
  ["nonce", "another"],
])("a header with an altered %s is refused", (field, value) => {
  const [claim = "", signature] = signatures.signRequest(request).split(".");
  const altered = { ...JSON.parse(Buffer.from(claim, "base64url").toString()), [field]: value };
  const header = `${Buffer.from(JSON.stringify(altered)).toString("base64url")}.${signature}`;
  expect(signatures.verifyRequest(header, altered)).toBeUndefined();
});

test("a header with any one character altered, or any part missing, is refused", () => {
  fc.assert(
    fc.property(fc.nat(), fc.string({ minLength: 1, maxLength: 1 }), (at, other) => {
      const header = signatures.signRequest(request);
      const place = at % header.length;
      fc.pre(header[place] !== other);
      expect(signatures.verifyRequest(header.slice(0, place) + other + header.slice(place + 1), request)).toBeUndefined();
      expect(signatures.verifyRequest(header.slice(0, place), request)).toBeUndefined();
      expect(signatures.verifyRequest(header.slice(place + 1), request)).toBeUndefined();
    }),
  );
});

test("a signature for another purpose is refused as a request header", () => {
  const claim = Buffer.from(JSON.stringify({ ...request, nonce: "n" })).toString("base64url");
  expect(signatures.verifyRequest(`${claim}.${signatures.sign("record", claim)}`, request)).toBeUndefined();
  expect(signatures.verifyRequest(`${claim}.${signatures.sign("request", claim)}`, request)).toMatchObject(request);
});

test("a header signed with another key is refused, and a node without keys accepts none", () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), (key, other) => {
      fc.pre(key !== other);
      expect(new Signatures([other]).verifyRequest(new Signatures([key]).signRequest(request), request)).toBeUndefined();
    }),
    { numRuns: 30 },
  );
  expect(new Signatures([]).verifyRequest(signatures.signRequest(request), request)).toBeUndefined();
});

test("during a key rotation the first key signs and all keys verify, each header once", () => {
  const [old, both, fresh] = [new Signatures(["old"]), new Signatures(["new", "old"]), new Signatures(["new"])];
  const fromOld = old.signRequest(request);
  expect(both.verifyRequest(fromOld, request)).toMatchObject(request);
  expect(both.verifyRequest(fromOld, request)).toBeUndefined();
  expect(both.verifyRequest(fresh.signRequest(request), request)).toMatchObject(request);
  expect(fresh.verifyRequest(both.signRequest(request), request)).toMatchObject(request);
  expect(old.verifyRequest(both.signRequest(request), request)).toBeUndefined();
});

test("garbage is refused without an exception", () => {
  fc.assert(
    fc.property(
      fc.oneof(
        text,
        fc.tuple(text, text).map(([claim, signature]) => `${claim}.${signature}`),
      ),
      text,
      (header, purpose) => {
        expect(signatures.verifyRequest(header, request)).toBeUndefined();
        expect(signatures.verify(purpose, header, header)).toBe(false);
      },
    ),
  );
  for (const header of ["", ".", "..", "e30.", ".e30"]) expect(signatures.verifyRequest(header, request)).toBeUndefined();
});
