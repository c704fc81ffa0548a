import { setTimeout as sleep } from "node:timers/promises";
import { until } from "../../scripts/process";
import type { TestNode } from "./cluster";
import { uniqueName } from "./cluster-containers";
import { code, oneOff } from "./runs";
import type { Answer, RequestOptions } from "./server";

/** Longer than every deadline of the server: a request without an answer by then hangs. */
const ANSWER_DEADLINE_MS = 60_000;

/** A change that a fault stopped is tried this often, with pauses, after the pool has recovered: an engine that has just started is busy. */
const ATTEMPTS = 10;
const ATTEMPT_PAUSE_MS = 1000;

/** For a node to remove what a creation has left that its engine's end interrupted. */
const LEFTOVER_DEADLINE_MS = 30_000;

/** The command of a container that runs until its engine stops it, which it does at once. */
const COMMAND = ["sh", "-c", "echo started; trap exit TERM; sleep 100000 & wait"];

/** Codes with which a request may fail because an engine ends or starts, or a node is away. */
const FAULT_CODES = ["NODES_MISSING", "NO_NODE", "NODE_FAILED", "ENGINE_UNREACHABLE", "ENGINE_TIMEOUT", "ENGINE_ERROR", "NOT_RUNNING"];

const namesIn = ({ json }: Answer): string[] => json.map(({ name }: { name: string }) => name);

/** Where requests go: a node, or a load balancer. */
type Client = Pick<TestNode, "name" | "request">;

/** Clients of all kinds that know what they have asked for, and check every answer. */
export interface MixedTraffic {
  /** Requests without an answer or with a wrong one, and failures whose code tells of no fault. */
  wrong: string[];
  /** How many requests failed in a fault, by code. */
  failed: Record<string, number>;
  /** Names of the containers that the clients were told they have: each must be there once. */
  present: Set<string>;
  /** Waits until this many more one-off and code runs were answered; false after 120 s. */
  grows(by: number): Promise<boolean>;
  end(): Promise<void>;
}

/**
 * Lists, runs, commands, logs, removals, managed containers, one-off runs and code runs (image of `importRunner`), each round through
 * the next node. A creation that failed in a fault is repeated after it with the same Idempotency-Key.
 * @param held names of containers that run all the time, or are started again by their engine
 * @param recovers waits until the pool is whole again after a fault; without it no request may fail
 */
export function startMixedTraffic(nodes: Client[], held: string[], recovers?: () => Promise<boolean>): MixedTraffic {
  const wrong: string[] = [];
  const failed: Record<string, number> = {};
  const present = new Set<string>();
  let runs = 0;
  let running = true;
  /** What the request of a kind was answered last, of those that failed. */
  const lastFailures = new Map<string, string>();

  /** Sends a request; undefined if it failed as a fault allows, or was recorded as wrong. */
  async function ask(what: string, request: (options: RequestOptions) => Promise<Answer>): Promise<Answer | undefined> {
    const answer = await request({ signal: AbortSignal.timeout(ANSWER_DEADLINE_MS) }).catch((error: Error) => String(error.cause ?? error));
    if (typeof answer !== "string" && answer.status < 300) return answer;
    const failure = typeof answer === "string" ? answer : answer.json?.code;
    const text = typeof answer === "string" ? answer : `${answer.status} ${answer.text}`;
    lastFailures.set(what, text);
    if (recovers && FAULT_CODES.includes(failure)) failed[failure] = (failed[failure] ?? 0) + 1;
    else wrong.push(`${what}: ${text}`);
    return undefined;
  }
  const check = (what: string, answer: Answer | undefined, right: (answer: Answer) => boolean) => {
    // 202 tells that it goes on: the machine is busy.
    if (answer && answer.status !== 202 && !right(answer)) wrong.push(`${what}: ${answer.status} ${answer.text.slice(0, 500)}`);
  };

  async function list(node: Client): Promise<void> {
    const expected = [...present, ...held];
    const what = `list through ${node.name}`;
    const answer = await ask(what, (options) => node.request("GET", "/", options));
    if (!answer) return;
    const names = namesIn(answer);
    const twice = names.filter((name, index) => names.indexOf(name) < index);
    // What an engine has of a creation that its end interrupted is there again with it, until its node removes it.
    const isRemoved = async () => {
      const again = await node.request("GET", "/").catch(() => undefined);
      return again?.status === 200 && twice.every((name) => namesIn(again).filter((each) => each === name).length < 2);
    };
    if (twice.length > 0 && !(recovers && (await until(isRemoved, LEFTOVER_DEADLINE_MS))))
      wrong.push(`${what}: ${twice} twice in ${names}`);
    if (answer.headers.has("x-cluster-missing")) return;
    const lost = expected.filter((name) => !names.includes(name) && (present.has(name) || held.includes(name)));
    if (lost.length > 0) wrong.push(`${what}: complete, and without ${lost}`);
  }

  async function command(node: Client, name: string): Promise<void> {
    const exec = await ask(`exec in ${name} through ${node.name}`, (options) =>
      node.request("POST", `/${name}`, { ...options, json: { data: ["echo", name] } }),
    );
    check(`exec in ${name}`, exec, ({ json }) => json[0].stdout === `${name}\n` && json[0].exit_code === 0);
    const logs = await ask(`logs of ${name} through ${node.name}`, (options) => node.request("GET", `/${name}`, options));
    check(`logs of ${name}`, logs, ({ json }) => json.length === 1 && /^(started\n)+$/.test(json[0].stdout));
  }

  /** Creates a container, again with the same key after a fault if that fails. Returns its name; undefined if each attempt failed. */
  async function create(method: string, path: string, json: object, round: number): Promise<string | undefined> {
    const headers = { "Idempotency-Key": uniqueName("key") };
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      const node = nodes[(round + attempt) % nodes.length] as Client;
      const answer = await ask(`${method} ${path} through ${node.name}`, (options) =>
        node.request(method, path, { ...options, headers, json }),
      );
      if (answer) {
        const name = answer.json.cuid ?? answer.json.name;
        present.add(name);
        return name;
      }
      if (!(await recovers?.())) return undefined;
      await sleep(ATTEMPT_PAUSE_MS);
    }
    wrong.push(`${method} ${path}: no success in ${ATTEMPTS} attempts`);
    return undefined;
  }

  /** Removes a container, again after a fault if that fails: the failed attempt may have removed it. */
  async function remove(through: Client, path: string, name: string): Promise<void> {
    present.delete(name);
    const attempt = (repeated: boolean) =>
      ask(`removal of ${name} through ${through.name}`, async (options) => {
        const answer = await through.request("DELETE", path, options);
        return repeated && answer.status === 404 ? { ...answer, status: 200 } : answer;
      });
    if (await attempt(false)) return;
    for (let count = 0; count < ATTEMPTS; count += 1) {
      if (!(await recovers?.()) || (await attempt(true))) return;
      await sleep(ATTEMPT_PAUSE_MS);
    }
    const reason = lastFailures.get(`removal of ${name} through ${through.name}`);
    wrong.push(`removal of ${name}: no success in ${ATTEMPTS} attempts, at last ${reason}`);
  }

  async function oneOffAndCode(node: Client, round: number): Promise<void> {
    const run = await ask(`run through ${node.name}`, (options) => oneOff(node, { command: ["echo", `one-off ${round}`] }, options));
    check("run", run, ({ json }) => json.stdout === `one-off ${round}\n`);
    const codeRun = await ask(`code run through ${node.name}`, (options) => code(node, `echo code ${round}`, options));
    check("code run", codeRun, ({ json }) => json.stdout.trim() === `code ${round}`);
    runs += 2;
  }

  const clients: ((node: Client, round: number) => Promise<void>)[] = [
    async (node, round) => {
      await list(node);
      await command(node, held[round % held.length] as string);
    },
    oneOffAndCode,
    async (node, round) => {
      const name = await create("PUT", "/", { image: "busybox", detach: true, network: "none", restart: "always", data: COMMAND }, round);
      if (!name) return;
      await command(node, name);
      if (round % 3 > 0) await remove(node, `/${name}`, name);
    },
    async (node, round) => {
      const cuid = await create("POST", "/containers", { image: "busybox", command: COMMAND }, round);
      if (!cuid) return;
      const status = await ask(`status of ${cuid} through ${node.name}`, (options) =>
        node.request("GET", `/containers/${cuid}/status`, options),
      );
      check(`status of ${cuid}`, status, ({ json }) => json.cuid === cuid && json.status === "created");
      if (round % 2 > 0) await remove(node, `/containers/${cuid}`, cuid);
    },
  ];

  const loops = clients.map(async (client, index) => {
    for (let round = index; running; round += 1) await client(nodes[round % nodes.length] as Client, round);
  });
  return {
    wrong,
    failed,
    present,
    grows(by) {
      const goal = runs + by;
      return until(() => runs >= goal, 120_000);
    },
    async end() {
      running = false;
      await Promise.all(loops);
    },
  };
}
