import { startHosts } from "./demo-hosts";
import { showOneNode } from "./demo-one-node";
import { Resources } from "./demo-resources";
import { type Stage, setStage } from "./demo-stage";
import { cleanupNote, heading, silence } from "./demo-terminal";
import { showThreeNodes } from "./demo-three-nodes";

/** The parts of the demo, in this order. */
const PARTS: ((stage: Stage) => Promise<void>)[] = [showOneNode, showThreeNodes];

const resources = new Resources();

async function main(): Promise<number> {
  try {
    heading("Docker over HTTP", "A server is started on this machine and asked for everything it can do, by the lines you would type.");
    // The hosts take some seconds to start and are needed last, so they start in parallel.
    const hosts = startHosts(resources);
    const stage = { ...(await setStage(resources)), hosts, stays: process.argv.includes("--stay") };
    for (const showPart of PARTS) await showPart(stage);
  } catch (error) {
    return end(`The demo failed: ${(error as Error).message}`, 1);
  }
  return end("All answers were what they should be.", 0);
}

let ended: Promise<number> | undefined;

/** Ends the demo, once; later calls, such as for a curl that the end interrupted, get the exit code of the first. */
function end(reason: string, code: number): Promise<number> {
  ended ??= (async () => {
    heading("The end", reason);
    silence();
    return (await resources.releaseAll()) ? code : code || 1;
  })();
  return ended;
}

for (const [signal, number] of Object.entries({ SIGHUP: 1, SIGINT: 2, SIGTERM: 15 })) {
  process.on(signal, () => void end(`Stopped by ${signal}.`, 128 + number).then((code) => process.exit(code)));
}
// The reader of the output may end first (`npm run demo | head`): the resources are released nevertheless.
process.stdout.on("error", () => void end("", 1).then((code) => process.exit(code)));

main().then((code) => {
  if (code === 0) cleanupNote("Nothing of the demo is left.");
  process.exit(code);
});
