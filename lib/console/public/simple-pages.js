import { call, linesOf, send } from "./api.js";
import { formatBytes, formatTime } from "./format.js";
import { T } from "./strings.js";
import { Field, html, Missing, Pending, Problem, Table, usePolled, useState } from "./view.js";

const ACTIVITY_PAUSE_MS = 5000;
const SHOWN_ACTIVITY = "1h";
const MAX_ACTIVITY = 500;

/** @param {{identity: import("./api.js").Identity}} props */
export function ImagesPage({ identity }) {
  const { value, error, reload } = usePolled((signal) => call("GET", "/images", { signal }), 0);
  const [image, setImage] = useState("");
  const [state, setState] = useState({ text: "", error: /** @type {Error | undefined} */ (undefined) });
  const mayChange = identity.can.includes("images");
  const act = (/** @type {Promise<any>} */ work, /** @type {string} */ what) =>
    work
      .then(
        (answer) => setState({ text: `${what}: ${answer.status ?? T.yes}`, error: undefined }),
        (thrown) => setState({ text: "", error: thrown }),
      )
      .then(reload);
  const pull = (/** @type {Event} */ event) => {
    event.preventDefault();
    void act(call("POST", "/images/pull", { json: { image } }), image);
  };
  const remove = (/** @type {string} */ name) => {
    if (confirm(T.confirm(name)))
      void act(call("DELETE", `/images/${name.split("/").map(encodeURIComponent).join("/")}`), `${T.remove} ${name}`);
  };
  return html`<h1>${T.images}</h1><${Missing} nodes=${value?.missing?.join(", ")} />
    ${mayChange && html`<form class="bar" onSubmit=${pull}><${Field} label=${T.image} required value=${image} onInput=${setImage} /><button type="submit">${T.pull}</button></form>`}
    <${Problem} error=${error ?? state.error} /><p role="status" aria-live="polite">${state.text}</p><${Pending} value=${value} error=${error} />
    ${
      value &&
      html`<${Table} label=${T.images} heads=${[T.tags, T.size, T.created, T.node, T.actions]}>${value.images.map(
        (/** @type {any} */ each) => {
          const name = each.tags[0] ?? each.id;
          return html`<tr key=${each.host + each.id}><th scope="row">${each.tags.join(", ") || each.id.slice(0, 19)}</th><td class="number">${formatBytes(each.size)}</td><td>${formatTime(each.created)}</td><td>${each.host}</td>
          <td>${mayChange && html`<button aria-label=${`${T.remove} ${name}`} onClick=${() => remove(name)}>${T.remove}</button>`}</td></tr>`;
        },
      )}</${Table}>`
    }`;
}

/** @param {{identity: import("./api.js").Identity}} props */
export function VolumesPage({ identity }) {
  const { value, error, reload } = usePolled((signal) => call("GET", "/volumes", { signal }), 0);
  const [failure, setFailure] = useState(/** @type {Error | undefined} */ (undefined));
  const mayChange = identity.can.includes("volumes");
  const remove = (/** @type {{name: string, host: string}} */ { name, host }) => {
    if (!confirm(T.confirm(name))) return;
    const path = `/volumes/${encodeURIComponent(name)}?node=${encodeURIComponent(host)}`;
    call("DELETE", path)
      .then(() => setFailure(undefined), setFailure)
      .then(reload);
  };
  return html`<h1>${T.volumes}</h1><${Missing} nodes=${value?.missing?.join(", ")} /><${Problem} error=${error ?? failure} /><${Pending} value=${value} error=${error} />
    ${value?.volumes.length === 0 && html`<p>${T.none}</p>`}
    ${
      value?.volumes.length > 0 &&
      html`<${Table} label=${T.volumes} heads=${[T.name, T.driver, T.created, T.node, T.actions]}>${value.volumes.map(
        (
          /** @type {any} */ each,
        ) => html`<tr key=${each.host + each.name}><th scope="row">${each.name}</th><td>${each.driver}</td><td>${formatTime(each.created)}</td><td>${each.host}</td>
          <td>${mayChange && html`<button aria-label=${`${T.remove} ${each.name}`} onClick=${() => remove(each)}>${T.remove}</button>`}</td></tr>`,
      )}</${Table}>`
    }`;
}

/** The newest requests of the last hour. @param {AbortSignal} signal */
async function readActivity(signal) {
  /** @type {any[]} */
  let entries = [];
  let missing = [];
  const response = await send("GET", `/audit?since=${SHOWN_ACTIVITY}`, { accept: "application/x-ndjson", signal });
  for await (const lines of linesOf(response)) {
    for (const line of lines.filter((each) => each !== "")) {
      const entry = JSON.parse(line);
      if (entry.event === "result") missing = entry.missing;
      else if (entry.method !== undefined) entries.push(entry);
    }
    if (entries.length > 2 * MAX_ACTIVITY) entries = entries.slice(-MAX_ACTIVITY);
  }
  return { entries: entries.slice(-MAX_ACTIVITY).reverse(), missing };
}

export function ActivityPage() {
  const { value, error } = usePolled(readActivity, ACTIVITY_PAUSE_MS);
  return html`<h1>${T.activity}</h1><p>${T.lastHour}</p><${Missing} nodes=${value?.missing?.join(", ")} /><${Problem} error=${error} /><${Pending} value=${value} error=${error} />
    ${
      value &&
      html`<${Table} label=${T.activity} heads=${[T.time, T.who, T.request, T.status, T.image, T.node]}>${value.entries.map(
        (
          each,
        ) => html`<tr key=${each.request_id + each.node}><td>${formatTime(each.timestamp)}</td><td>${each.user}</td><td>${each.method} ${each.path}</td>
          <td><span class=${each.status >= 400 ? "state bad" : ""}>${each.status}</span></td><td>${each.image ?? each.name}</td><td>${each.ran_on ?? each.node}</td></tr>`,
      )}</${Table}>`
    }`;
}
