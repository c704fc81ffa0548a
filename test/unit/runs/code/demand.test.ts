import { Demand } from "../../../../lib/runs/code/demand";

describe("Demand", () => {
  const demandAt = (time: { now: number }) => new Demand(() => time.now);

  test("is the peak of concurrent runs in the last minute", () => {
    const time = { now: 0 };
    const demand = demandAt(time);
    const ends = [demand.beginRun(), demand.beginRun(), demand.beginRun()];
    time.now = 5000;
    for (const end of ends) end();
    expect(demand.recentPeak).toBe(3);
    time.now = 31_000;
    demand.beginRun();
    expect(demand.recentPeak).toBe(3);
    time.now = 61_000;
    expect(demand.recentPeak).toBe(1);
    time.now = 300_000;
    expect([demand.recentPeak, demand.idleMs]).toEqual([1, 269_000]);
  });
});
