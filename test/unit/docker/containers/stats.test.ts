import type { ContainerStats } from "dockerode";
import { parseUsage } from "../../../../lib/docker/containers/stats";

const MB = 2 ** 20;
const SECOND_NS = 1e9;

/** Fields that are the same under both cgroup versions. */
const COMMON = {
  read: "2026-11-28T10:00:01Z",
  pids_stats: { current: 3 },
  networks: { eth0: { rx_bytes: 5338, tx_bytes: 648 }, eth5: { rx_bytes: 4641, tx_bytes: 690 } },
};
const CPU = { online_cpus: 4, system_cpu_usage: 104 * SECOND_NS };
const BEFORE = { cpu_usage: { total_usage: 10 * SECOND_NS }, system_cpu_usage: 100 * SECOND_NS, online_cpus: 4 };
const USED_CPU = { total_usage: 10.5 * SECOND_NS };

/**
 * What the engine sends under cgroup 1 and 2, from the Engine API's page about GET /containers/{id}/stats: cgroup 2 has neither
 * `percpu_usage` nor `max_usage`, `failcnt` and the other fields of `blkio_stats`, and other fields in `memory_stats.stats`.
 */
const FORMS: [string, object][] = [
  [
    "cgroup 1",
    {
      cpu_stats: { ...CPU, cpu_usage: { ...USED_CPU, percpu_usage: [4 * SECOND_NS, 3 * SECOND_NS, 2 * SECOND_NS, 1.5 * SECOND_NS] } },
      memory_stats: {
        usage: 60 * MB,
        max_usage: 66 * MB,
        failcnt: 0,
        limit: 200 * MB,
        // Those without "total" leave out the cgroups below the container's own.
        stats: {
          cache: 15 * MB,
          inactive_file: 2 * MB,
          total_cache: 15 * MB,
          total_inactive_file: 10 * MB,
          hierarchical_memory_limit: 200 * MB,
        },
      },
      blkio_stats: {
        io_service_bytes_recursive: [
          { major: 8, minor: 0, op: "Read", value: 4096 },
          { major: 8, minor: 0, op: "Write", value: 8192 },
          { major: 8, minor: 16, op: "Read", value: 1000 },
          { major: 8, minor: 0, op: "Sync", value: 12_288 },
          { major: 8, minor: 0, op: "Async", value: 0 },
          { major: 8, minor: 0, op: "Total", value: 12_288 },
        ],
        io_serviced_recursive: [{ major: 8, minor: 0, op: "Read", value: 1 }],
      },
    },
  ],
  [
    "cgroup 2",
    {
      cpu_stats: { ...CPU, cpu_usage: USED_CPU },
      memory_stats: {
        usage: 60 * MB,
        limit: 200 * MB,
        stats: { active_file: 5 * MB, anon: 45 * MB, file: 15 * MB, inactive_file: 10 * MB, pgfault: 100 },
      },
      blkio_stats: {
        io_service_bytes_recursive: [
          { major: 8, minor: 0, op: "read", value: 4096 },
          { major: 8, minor: 0, op: "write", value: 8192 },
          { major: 8, minor: 16, op: "read", value: 1000 },
        ],
        io_serviced_recursive: null,
      },
    },
  ],
];

describe.each(FORMS)("stats under %s", (_version, form) => {
  const usageOf = (more: object = {}) => parseUsage({ ...COMMON, precpu_stats: BEFORE, ...form, ...more } as unknown as ContainerStats);

  test("are the shares and sums that docker stats shows", () => {
    expect(usageOf()).toEqual({
      read: COMMON.read,
      cpu_percent: 50,
      memory: 50 * MB,
      memory_limit: 200 * MB,
      memory_percent: 25,
      network_in: 9979,
      network_out: 1338,
      block_read: 5096,
      block_write: 8192,
      pids: 3,
    });
  });

  test("of the first measurement have no CPU share", () => {
    expect(usageOf({ precpu_stats: { cpu_usage: { total_usage: 0 } } })).toMatchObject({ cpu_percent: 0 });
  });

  test("of a container that doesn't run are none", () => {
    expect(usageOf({ read: "0001-01-01T00:00:00Z", memory_stats: {} })).toBeUndefined();
  });
});

test.each<[string, object, number]>([
  ["more page cache than usage", { usage: 5 * MB, stats: { inactive_file: 6 * MB } }, 5 * MB],
  ["no page cache", { usage: 5 * MB, stats: {} }, 5 * MB],
  ["no details", { usage: 5 * MB }, 5 * MB],
])("memory with %s is the usage", (_case, memory, expected) => {
  const stats = {
    ...COMMON,
    precpu_stats: BEFORE,
    cpu_stats: { ...CPU, cpu_usage: USED_CPU },
    memory_stats: { limit: 200 * MB, ...memory },
  };
  expect(parseUsage(stats as unknown as ContainerStats)).toMatchObject({ memory: expected });
});

const stats = (fields: object) =>
  ({ read: "2026-01-01T00:00:00Z", precpu_stats: { cpu_usage: { total_usage: 0 } }, ...fields }) as ContainerStats;

describe("usage on a host that lacks a cgroup", () => {
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
