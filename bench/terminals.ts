import { spawn } from "node:child_process";
import type { Duplex } from "node:stream";
import WebSocket from "ws";
import { type Bed, CREDENTIALS } from "./bed";
import { type Comparison, compareValues, median, type Side } from "./compare";
import { withContainer } from "./container";
import { upgraded } from "./http-client";

const KEY_COUNT = 100;
const ECHO_ROUNDS = 5;
const FLOOD_ROUNDS = 5;
const FLOOD_BYTES = 50_000_000;
/** Output of the throughput test: text, and bytes that are not UTF-8. */
const FLOOD_CHARACTERS = { text: "x", bytes: "\\377" };

/** A shell with a terminal: over this server's WebSocket, over the engine's socket, and with `docker exec -it` under a terminal. */
export function benchTerminals(bed: Bed): Promise<Comparison[]> {
  return withContainer(bed, ["sleep", "6000"], async (id) => {
    const open: Record<Side, () => Promise<Screen>> = {
      ours: () => openViaServer(bed, id),
      raw: () => openViaEngineApi(bed, id),
      cli: () => openViaCli(bed, id),
    };
    const within = async (side: Side, measure: (screen: Screen) => Promise<number>) => {
      const screen = await open[side]();
      try {
        await screen.shows("# ");
        return await measure(screen);
      } finally {
        screen.close();
      }
    };
    const echo = await compareValues("terminal, echo", ECHO_ROUNDS, (side) => within(side, echoTimeMs));
    const comparisons: Comparison[] = [{ title: "terminal, key to echo", unit: "ms", medians: echo }];
    for (const [title, character] of Object.entries(FLOOD_CHARACTERS)) {
      const medians = await compareValues(`terminal, ${title}`, FLOOD_ROUNDS, (side) =>
        within(side, (screen) => floodRate(screen, character)),
      );
      comparisons.push({ title: `terminal, a flood of ${title}`, unit: "MB/s", medians, target: { against: "cli", ratio: 0.7 } });
    }
    return comparisons;
  });
}

/** Median time from a key to its echo, in ms. */
async function echoTimeMs(screen: Screen): Promise<number> {
  screen.type("echo rea''dy; cat >/dev/null\n");
  await screen.shows("ready\r\n");
  const times: number[] = [];
  for (let key = 0; key < KEY_COUNT; key++) {
    const start = performance.now();
    screen.type("k");
    await screen.shows("k");
    times.push(performance.now() - start);
  }
  return median(times);
}

/** Throughput of a command's output, from typing it to its end, in MB/s. */
async function floodRate(screen: Screen, character: string): Promise<number> {
  const before = screen.bytes;
  const start = performance.now();
  screen.type(`head -c ${FLOOD_BYTES} /dev/zero | tr '\\000' '${character}'; echo do''ne\n`);
  await screen.shows("done\r\n");
  const seconds = (performance.now() - start) / 1000;
  if (screen.bytes - before < FLOOD_BYTES) throw new Error(`the terminal received only ${screen.bytes - before} bytes`);
  return FLOOD_BYTES / 1e6 / seconds;
}

/** The receiving side of a terminal. */
class Screen {
  bytes = 0;
  private tail = "";
  private waiting: (() => void) | undefined;

  constructor(
    readonly type: (text: string) => void,
    readonly close: () => void,
  ) {}

  take(data: Buffer): void {
    this.bytes += data.length;
    this.tail = (this.tail + data.toString("latin1", Math.max(0, data.length - 100))).slice(-100);
    this.waiting?.();
  }

  /** Waits until the output ends with the text; consumes the output up to there. */
  shows(text: string): Promise<void> {
    return new Promise((resolve) => {
      this.waiting = () => {
        if (!this.tail.includes(text)) return;
        this.waiting = undefined;
        this.tail = "";
        resolve();
      };
      this.waiting();
    });
  }
}

async function openViaServer({ server }: Bed, id: string): Promise<Screen> {
  const socket = new WebSocket(`${server.url.replace("http", "ws")}/ws/${id}?cols=80&rows=24`, { headers: CREDENTIALS });
  const screen = new Screen(
    (data) => socket.send(JSON.stringify({ type: "stdin", data })),
    () => socket.terminate(),
  );
  socket.on("message", (message) => {
    const { type, data, encoding } = JSON.parse(String(message));
    if (type === "stdout") screen.take(Buffer.from(data, encoding));
  });
  await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));
  return screen;
}

async function openViaEngineApi({ raw: client, engine }: Bed, id: string): Promise<Screen> {
  const options = { Cmd: ["sh"], Tty: true, AttachStdin: true, AttachStdout: true, AttachStderr: true };
  const { Id } = await client.askJson("POST", `/containers/${id}/exec`, options);
  const socket: Duplex = await upgraded(engine.socket, `/exec/${Id}/start`, { Detach: false, Tty: true });
  const screen = new Screen(
    (data) => socket.write(data),
    () => socket.destroy(),
  );
  socket.on("data", (data: Buffer) => screen.take(data));
  return screen;
}

/** `script` provides the terminal that `docker exec -it` requires. */
async function openViaCli({ engine }: Bed, id: string): Promise<Screen> {
  const child = spawn("script", ["-qfc", `docker exec -it ${id} sh`, "/dev/null"], {
    env: { PATH: process.env.PATH, HOME: engine.folder, DOCKER_HOST: engine.dockerHost },
  });
  const screen = new Screen(
    (data) => child.stdin.write(data),
    () => child.kill("SIGKILL"),
  );
  child.stdout.on("data", (data: Buffer) => screen.take(data));
  return screen;
}
