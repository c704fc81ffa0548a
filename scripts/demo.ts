import { startHosts } from "./demo-hosts";
import { showOneNode } from "./demo-one-node";
import { Belongings } from "./demo-resources";
import { type Stage, setStage } from "./demo-stage";
import { closeShow, heading, lastNote } from "./demo-terminal";
import { showThreeNodes } from "./demo-three-nodes";

/** What is shown, in this order. */
const SHOWS: ((stage: Stage) => Promise<void>)[] = [showOneNode, showThreeNodes];

const belongings = new Belongings();

async function main(): Promise<number> {
  try {
    heading("Docker over HTTP", "A server is started on this machine and asked for everything it can do, by the lines you would type.");
    // They take a while, and are needed last.
    const hosts = startHosts(belongings);
    const stage = { ...(await setStage(belongings)), hosts };
    for (const show of SHOWS) await show(stage);
  } catch (error) {
    return end(`The demo failed: ${(error as Error).message}`, 1);
  }
  return end("All answers were what they should be.", 0);
}

let ended: Promise<number> | undefined;

/** Ends the demo, once; whatever comes later (a curl that was cut off, say) gets the first reason's code. */
function end(reason: string, code: number): Promise<number> {
  ended ??= (async () => {
    heading("The end", reason);
    closeShow();
    return (await belongings.giveBackAll()) ? code : code || 1;
  })();
  return ended;
}

for (const [signal, number] of Object.entries({ SIGHUP: 1, SIGINT: 2, SIGTERM: 15 })) {
  process.on(signal, () => void end(`Stopped by ${signal}.`, 128 + number).then((code) => process.exit(code)));
}
// Whoever reads along may go (`npm run demo | head`): what was taken is given back all the same.
process.stdout.on("error", () => void end("", 1).then((code) => process.exit(code)));

main().then((code) => {
  if (code === 0) lastNote("Nothing of the demo is left.");
  process.exit(code);
});
