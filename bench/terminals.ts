import { spawn } from "node:child_process";
import type { Duplex } from "node:stream";
import WebSocket from "ws";
import { type Bed, CREDENTIALS } from "./bed";
import { type Comparison, compareValues, median, type Side } from "./compare";
import { withContainer } from "./container";
import { upgraded } from "./http-client";

const KEYS = 100;
const ECHO_ROUNDS = 5;
const FLOOD_ROUNDS = 5;
const FLOOD = 50_000_000;
/** What a container may write as fast as it can: text, and bytes that no text is made of. */
const FLOODS = { text: "x", bytes: "\\377" };

/** A shell with a terminal: this server's over a WebSocket, the engine's over its socket, `docker exec -it` under a terminal. */
export function benchTerminals(bed: Bed): Promise<Comparison[]> {
  return withContainer(bed, ["sleep", "6000"], async (id) => {
    const open: Record<Side, () => Promise<Screen>> = { ours: () => ours(bed, id), raw: () => raw(bed, id), cli: () => typed(bed, id) };
    const within = async (side: Side, measure: (screen: Screen) => Promise<number>) => {
      const screen = await open[side]();
      try {
        await screen.shows("# ");
        return await measure(screen);
      } finally {
        screen.close();
      }
    };
    const echo = await compareValues("terminal, echo", ECHO_ROUNDS, (side) => within(side, echoTime));
    const comparisons: Comparison[] = [{ what: "terminal, a key till it is seen", unit: "ms", medians: echo }];
    for (const [what, character] of Object.entries(FLOODS)) {
      const medians = await compareValues(`terminal, ${what}`, FLOOD_ROUNDS, (side) =>
        within(side, (screen) => floodRate(screen, character)),
      );
      comparisons.push({ what: `terminal, a flood of ${what}`, unit: "MB/s", medians, target: { against: "cli", ratio: 0.7 } });
    }
    return comparisons;
  });
}

/** ms from a key to its echo. */
async function echoTime(screen: Screen): Promise<number> {
  screen.type("echo rea''dy; cat >/dev/null\n");
  await screen.shows("ready\r\n");
  const times: number[] = [];
  for (let key = 0; key < KEYS; key++) {
    const start = performance.now();
    screen.type("k");
    await screen.shows("k");
    times.push(performance.now() - start);
  }
  return median(times);
}

/** MB/s of what a command writes, from its being typed to its end. */
async function floodRate(screen: Screen, character: string): Promise<number> {
  const before = screen.bytes;
  const start = performance.now();
  screen.type(`head -c ${FLOOD} /dev/zero | tr '\\000' '${character}'; echo do''ne\n`);
  await screen.shows("done\r\n");
  const seconds = (performance.now() - start) / 1000;
  if (screen.bytes - before < FLOOD) throw new Error(`a terminal showed only ${screen.bytes - before} bytes`);
  return FLOOD / 1e6 / seconds;
}

/** What somebody at a terminal sees. */
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

  /** Waits for a text; what came up to it has been seen then. */
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

async function ours({ server }: Bed, id: string): Promise<Screen> {
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

async function raw({ raw: client, engine }: Bed, id: string): Promise<Screen> {
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

/** `script` gives it the terminal that it asks for. */
async function typed({ engine }: Bed, id: string): Promise<Screen> {
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
