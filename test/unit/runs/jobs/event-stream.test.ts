import fc from "fast-check";
import { EventStream } from "../../../../lib/runs/jobs/event-stream";

describe("EventStream", () => {
  test("sends UTF-8 as text, for any chunking", async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: "grapheme", maxLength: 40 }), fc.array(fc.nat(9), { maxLength: 40 }), async (text, cuts) => {
        const events = new EventStream("application/x-ndjson");
        let rest = Buffer.from(text);
        for (const cut of [...cuts, rest.length]) {
          void events.sendFrame({ stream: "stdout", data: rest.subarray(0, cut) });
          rest = rest.subarray(cut);
        }
        events.end("result", { status: "success" });
        let all = "";
        for await (const chunk of events.body) all += chunk;
        const lines = all
          .trim()
          .split("\n")
          .map((line) => JSON.parse(line));
        expect(lines.pop()).toEqual({ event: "result", status: "success" });
        expect(lines.some(({ encoding }) => encoding)).toBe(false);
        expect(lines.map(({ data }) => data).join("")).toBe(text);
      }),
    );
  });

  test("sends other bytes as base64, and marks them", async () => {
    const events = new EventStream("text/event-stream");
    void events.sendFrame({ stream: "stderr", data: Buffer.from([0xff, 0xfe, 0x41]) });
    void events.sendFrame({ stream: "stdout", data: Buffer.from([0xe2, 0x82]) });
    events.end("error", { code: "X" });
    let all = "";
    for await (const chunk of events.body) all += chunk;
    expect(all).toBe(
      'event: stderr\ndata: {"data":"//5B","encoding":"base64"}\n\nevent: stdout\ndata: {"data":"4oI=","encoding":"base64"}\n\nevent: error\ndata: {"code":"X"}\n\n',
    );
  });
});
