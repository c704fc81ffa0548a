// Pure functions of the form that runs a container.

/** @typedef {Record<"image" | "name" | "command" | "env" | "ports" | "volumes" | "labels" | "restart_policy" | "memory" | "cpus", string>} RunFields */

/** @type {RunFields} */
export const EMPTY_FIELDS = {
  image: "",
  name: "",
  command: "",
  env: "",
  ports: "",
  volumes: "",
  labels: "",
  restart_policy: "",
  memory: "",
  cpus: "",
};

const linesOf = (/** @type {string} */ text) =>
  text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");

/**
 * The body of `PUT /` that a filled form stands for; empty fields are left out.
 * @param {RunFields} fields
 * @returns {Record<string, unknown>}
 */
export function runBody(fields) {
  const lists = ["env", "ports", "volumes"].map((name) => [name, linesOf(fields[/** @type {"env"} */ (name)])]);
  const texts = ["image", "name", "command", "restart_policy", "memory", "cpus"].map((name) => [
    name,
    fields[/** @type {"image"} */ (name)].trim(),
  ]);
  const labels = Object.fromEntries(
    linesOf(fields.labels).map((line) => [line.split("=")[0], line.includes("=") ? line.slice(line.indexOf("=") + 1) : ""]),
  );
  const filled = [...texts, ...lists].filter(([, value]) => /** @type {string | string[]} */ (value).length > 0);
  return { ...Object.fromEntries(filled), ...(Object.keys(labels).length > 0 ? { labels } : {}), detach: true };
}

/**
 * A word as a POSIX shell reads it back.
 * @param {string} word
 */
export function quoteWord(word) {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/**
 * The request as a command line of curl. The token stays a shell variable.
 * @param {string} method
 * @param {string} url
 * @param {object} body
 */
export function curlLine(method, url, body) {
  const json = quoteWord(JSON.stringify(body));
  return `curl -X ${method} ${quoteWord(url)} -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' --data ${json}`;
}

/**
 * The form as a command line of docker.
 * @param {RunFields} fields
 */
export function dockerLine(fields) {
  const flags = [
    ["--name", [fields.name.trim()]],
    ["--env", linesOf(fields.env)],
    ["--publish", linesOf(fields.ports)],
    ["--volume", linesOf(fields.volumes)],
    ["--label", linesOf(fields.labels)],
    ["--restart", [fields.restart_policy]],
    ["--memory", [fields.memory.trim()]],
    ["--cpus", [fields.cpus.trim()]],
  ];
  const words = flags.flatMap(([flag, values]) =>
    /** @type {string[]} */ (values).filter((value) => value !== "").map((value) => `${flag} ${quoteWord(value)}`),
  );
  // The command is a text that the server splits as a shell does: here a shell does.
  return ["docker run --detach", ...words, quoteWord(fields.image.trim()), fields.command.trim()].filter((each) => each !== "").join(" ");
}
