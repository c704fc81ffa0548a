import fc from "fast-check";
import { decodeBase64 } from "../../../lib/support/base64";

describe("decodeBase64", () => {
  test("decodes any bytes, in one line or several", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        const text = Buffer.from(bytes).toString("base64");
        expect(decodeBase64(text, "f")).toEqual(Buffer.from(bytes));
        expect(decodeBase64(text.replace(/(.{76})/g, "$1\n"), "f")).toEqual(Buffer.from(bytes));
      }),
    );
  });

  test.each(["aGk", "aGk*", "aG k=", "aGk=x", "a===", "=", "aGl=", "aGk=aGk=", "-_-_", "aGk=\0", "äää="])("refuses %j", (text) => {
    expect(() => decodeBase64(text, "content")).toThrow("content must be base64");
  });
});
