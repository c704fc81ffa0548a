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

test("what one node seals another of the same key opens, whatever is in it", () => {
  fc.assert(
    fc.property(anyRequest, (sealed) => {
      expect(new Signatures(["key"]).verifyRequest(signatures.signRequest(sealed), sealed)).toMatchObject(sealed);
    }),
  );
});

test("a seal is good for one request only, and the next seal of the same request for one more", () => {
  const receiver = new Signatures(["key"]);
  const [first, second] = [signatures.signRequest(request), signatures.signRequest(request)];
  expect(receiver.verifyRequest(first, request)).toMatchObject(request);
  expect(receiver.verifyRequest(first, request)).toBeUndefined();
  expect(receiver.verifyRequest(second, request)).toMatchObject(request);
});

test("a seal is not opened for another method, address or node than it was made for, and is not spent by the attempt", () => {
  fc.assert(
    fc.property(fc.constantFrom("method" as const, "url" as const, "to" as const), text, (field, other) => {
      fc.pre(other !== request[field]);
      const receiver = new Signatures(["key"]);
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
])("a seal of which the %s was altered is refused", (field, value) => {
  const [claim = "", signature] = signatures.signRequest(request).split(".");
  const altered = { ...JSON.parse(Buffer.from(claim, "base64url").toString()), [field]: value };
  const header = `${Buffer.from(JSON.stringify(altered)).toString("base64url")}.${signature}`;
  expect(signatures.verifyRequest(header, altered)).toBeUndefined();
});

test("a seal of which any one character was altered, or any part is missing, is refused", () => {
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

test("a signature of another purpose is worth nothing as a seal", () => {
  const claim = Buffer.from(JSON.stringify({ ...request, nonce: "n" })).toString("base64url");
  expect(signatures.verifyRequest(`${claim}.${signatures.sign("record", claim)}`, request)).toBeUndefined();
  expect(signatures.verifyRequest(`${claim}.${signatures.sign("request", claim)}`, request)).toMatchObject(request);
});

test("a seal under another key is refused, and a node without a key trusts nobody", () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), (key, other) => {
      fc.pre(key !== other);
      expect(new Signatures([other]).verifyRequest(new Signatures([key]).signRequest(request), request)).toBeUndefined();
    }),
  );
  expect(new Signatures([]).verifyRequest(signatures.signRequest(request), request)).toBeUndefined();
});

test("while keys are changed the first signs and all are trusted, each seal once", () => {
  const [old, both, fresh] = [new Signatures(["old"]), new Signatures(["new", "old"]), new Signatures(["new"])];
  const fromOld = old.signRequest(request);
  expect(both.verifyRequest(fromOld, request)).toMatchObject(request);
  expect(both.verifyRequest(fromOld, request)).toBeUndefined();
  expect(both.verifyRequest(fresh.signRequest(request), request)).toMatchObject(request);
  expect(fresh.verifyRequest(both.signRequest(request), request)).toMatchObject(request);
  expect(old.verifyRequest(both.signRequest(request), request)).toBeUndefined();
});

test("garbage is refused without an error", () => {
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
