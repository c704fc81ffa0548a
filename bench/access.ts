import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import autocannon from "autocannon";
import type { Caveats } from "../lib/access/caveats";
import { deriveTokenKey, makeToken, narrowToken } from "../lib/access/token";
import { NarrowTokens } from "../lib/auth/narrow-tokens";
import { TOKEN } from "../test/support/server";
import { type Bed, CREDENTIALS } from "./bed";
import { compareNumbers } from "./compare";
import type { AbsoluteMeasurement } from "./report";

const ROUNDS = 20;
const LOAD_SECONDS = 1;
const CONNECTIONS = 16;
const CONTAINERS = 20;
const CHECKS = 100_000;
const EXPIRES = Math.floor(Date.now() / 1000) + 3600;

/** What narrow tokens cost: list requests against those of a root token, one check, and memory after many different tokens. */
export async function benchAccess(bed: Bed): Promise<AbsoluteMeasurement[]> {
  for (let index = 0; index < CONTAINERS; index += 1)
    await bed.raw.ask("POST", "/containers/create", { Image: "busybox", Labels: { customer: "a" } });
  const narrow = bearer({ can: ["read"] });
  const confined = bearer({ can: ["read"], labels: { customer: "a" } });
  const rates = await compareNumbers("list with a root token, a narrow one, and one with labels", ROUNDS, {
    root: () => listRate(bed, CREDENTIALS),
    narrow: () => listRate(bed, narrow),
    confined: () => listRate(bed, confined),
  });
  await bed.cli(["container", "prune", "--force"]);
  const list = `GET / of ${CONTAINERS} containers`;
  return [
    { title: `${list}, root token`, value: rates.root, unit: "requests/s" },
    { title: `${list}, narrow token, of a root token's`, value: (100 * rates.narrow) / rates.root, unit: "%" },
    { title: `${list}, token with labels, of a root token's`, value: (100 * rates.confined) / rates.root, unit: "%" },
    ...checkTimes(),
    memoryAfterManyTokens(),
  ];
}

const bearer = (caveats: Caveats) => ({
  Authorization: `Bearer ${makeToken(deriveTokenKey(TOKEN), { expires: EXPIRES, ...caveats })}`,
});

async function listRate({ server }: Bed, headers: Record<string, string>): Promise<number> {
  const result = await autocannon({ url: `${server.url}/`, headers, connections: CONNECTIONS, duration: LOAD_SECONDS });
  if (result.non2xx + result.errors + result.timeouts > 0) throw new Error("requests failed");
  return result.requests.total / result.duration;
}

const narrowTokens = () => new NarrowTokens({ cluster_key: ["key"], token: [], token_file: null, user: null, password: null });

/** One check of a token that was presented before, and of a new one. */
function checkTimes(): AbsoluteMeasurement[] {
  const tokens = narrowTokens();
  const key = deriveTokenKey("key");
  const make = (index: number) =>
    narrowToken(makeToken(key, { can: ["read", "run"], expires: EXPIRES }), { labels: { index: `${index}` } });
  const known = [make(0)];
  const fresh = Array.from({ length: CHECKS / 10 }, (_, index) => make(index));
  const microseconds = (presented: string[], count: number) => {
    // The time of the processor: other load on the machine would count otherwise.
    const start = process.cpuUsage();
    for (let index = 0; index < count; index += 1) tokens.check(presented[index % presented.length] as string)?.assertRoute(ROUTE);
    const { user, system } = process.cpuUsage(start);
    return (user + system) / count;
  };
  microseconds(fresh, fresh.length);
  return [
    { title: "check of a token with two links, known", value: microseconds(known, CHECKS), unit: "µs", atMost: 200 },
    { title: "check of a token with two links, new", value: microseconds(fresh, fresh.length), unit: "µs", atMost: 200 },
  ];
}

const ROUTE = { permission: "read", confined: "handler" } as const;

/** Growth of the heap after 100,000 different tokens were checked. */
function memoryAfterManyTokens(): AbsoluteMeasurement {
  setFlagsFromString("--expose_gc");
  const collectGarbage = runInNewContext("gc") as () => void;
  const tokens = narrowTokens();
  const key = deriveTokenKey("key");
  const present = (count: number) => {
    for (let index = 0; index < count; index += 1)
      tokens.check(makeToken(key, { can: ["read"], labels: { index: `${index}` }, expires: EXPIRES }));
    collectGarbage();
    return process.memoryUsage().heapUsed;
  };
  const before = present(1000);
  return { title: `memory after ${CHECKS} different tokens`, value: (present(CHECKS) - before) / 2 ** 20, unit: "MB", atMost: 2 };
}
