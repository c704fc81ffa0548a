import { followDownload, linesOf } from "./api.js";
import { mergeLogs } from "./log-merge.js";
import { requestLog } from "./log-reader.js";

/** Characters that are made at a time; the browser keeps large files on the disk. */
const PART_CHARS = 500_000;

/**
 * Gives the logs of a range to the user as one file.
 * @param {import("./log-reader.js").Source[]} containers
 * @param {{since: string, until: string}} range
 */
export async function saveLogs(containers, { since, until }) {
  const query = { ...(since === "" ? {} : { since }), ...(until === "" ? {} : { until }) };
  /** @type {import("./log-merge.js").NamedLog[]} */
  const logs = [];
  // One after the other: a browser opens few connections to a server, and each followed log has one.
  for (const each of containers) {
    const log = await (await requestLog(each, query)).blob();
    logs.push({ name: each.name, lines: linesOf(new Response(log)) });
  }
  /** @type {Blob[]} */
  const parts = [];
  let text = "";
  for await (const line of mergeLogs(logs)) {
    text += `${line}\n`;
    if (text.length < PART_CHARS) continue;
    parts.push(new Blob([text]));
    text = "";
    // The page draws and answers meanwhile.
    await new Promise((resolve) => setTimeout(resolve));
  }
  const url = URL.createObjectURL(new Blob([...parts, text], { type: "application/octet-stream" }));
  followDownload(url, `${containers.length === 1 ? containers[0]?.name : "containers"}.log`);
  URL.revokeObjectURL(url);
}
