import { plainAddress } from "../../../lib/support/plain-address";

test.each([
  ["127.0.0.1", "127.0.0.1"],
  ["::ffff:10.2.3.4", "10.2.3.4"],
  ["2001:db8::1", "2001:db8::1"],
  ["::ffff:0:1", "::ffff:0:1"],
  [undefined, ""],
])("%s is written as %j", (address, written) => {
  expect(plainAddress(address)).toBe(written);
});
