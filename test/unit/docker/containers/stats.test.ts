import type { ContainerStats } from "dockerode";
import { parseUsage } from "../../../../lib/docker/containers/stats";

const stats = (fields: object) =>
  ({ read: "2026-01-01T00:00:00Z", precpu_stats: { cpu_usage: { total_usage: 0 } }, ...fields }) as ContainerStats;

describe("parseUsage", () => {
  test("measures a running container on a host without a memory cgroup, whose memory is 0", () => {
    const usage = parseUsage(
      stats({ memory_stats: {}, pids_stats: { current: 3 }, cpu_stats: { cpu_usage: { total_usage: 5 }, system_cpu_usage: 100 } }),
    );
    expect(usage).toMatchObject({ memory: 0, memory_limit: 0, memory_percent: 0, pids: 3 });
  });

  test("measures a running container on a host without a PID cgroup", () => {
    const usage = parseUsage(
      stats({
        memory_stats: { usage: 200, limit: 1000, stats: { inactive_file: 100 } },
        pids_stats: {},
        cpu_stats: { cpu_usage: { total_usage: 0 } },
      }),
    );
    expect(usage).toMatchObject({ memory: 100, memory_percent: 10, pids: 0, cpu_percent: 0 });
  });

  test.each(["0001-01-01T00:00:00Z", "2026-01-01T00:00:00Z"])("a container without any usage, read at %s, doesn't run", (read) => {
    expect(parseUsage(stats({ read, memory_stats: {}, pids_stats: {}, cpu_stats: { cpu_usage: { total_usage: 0 } } }))).toBeUndefined();
  });
});
