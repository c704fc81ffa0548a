import { call, containerPath, downloadByTicket, send } from "./api.js";
import { formatBytes, formatTime } from "./format.js";
import { T } from "./strings.js";
import { Field, html, Notice, Pending, Problem, Table, usePolled, useState } from "./view.js";
import { zipOf } from "./zip.js";

/** @typedef {{name: string, type: string, size: number, mode: string, modified: string, target?: string}} Entry */

const joinPath = (/** @type {string} */ folder, /** @type {string} */ name) => `${folder.replace(/\/+$/, "")}/${name}`;
const parentOf = (/** @type {string} */ folder) => folder.replace(/\/[^/]*\/*$/, "") || "/";

/** The files of a container. @param {{container: import("./format.js").Container}} props */
export function FilesTab({ container }) {
  const [folder, setFolder] = useState("/");
  const [typed, setTyped] = useState("/");
  const [state, setState] = useState({ text: "", error: /** @type {Error | undefined} */ (undefined) });
  const { value, error, reload } = usePolled((signal) => call("GET", containerPath(container, "/files", { path: folder }), { signal }), 0, [
    folder,
  ]);
  const fail = (/** @type {Error} */ thrown) => setState({ text: "", error: thrown });
  const go = (/** @type {string} */ path) => {
    setFolder(path);
    setTyped(path);
    setState({ text: "", error: undefined });
  };
  const download = (/** @type {"/download" | "/download-zip"} */ route, /** @type {string} */ path) =>
    downloadByTicket(container, route, path).catch(fail);
  async function upload(/** @type {any} */ event) {
    const chosen = /** @type {File[]} */ ([...event.currentTarget.files]);
    event.currentTarget.value = "";
    try {
      const archive = await zipOf(chosen.map((file) => ({ name: file.name, data: file })));
      setState({ text: T.uploading(chosen.length, formatBytes(archive.size)), error: undefined });
      const path = containerPath(container, "/upload-zip", { path: folder });
      const { files: count } = await (await send("POST", path, { body: archive, type: "application/zip" })).json();
      setState({ text: T.uploaded(count), error: undefined });
      reload();
    } catch (thrown) {
      fail(/** @type {Error} */ (thrown));
    }
  }
  const entries = /** @type {Entry[]} */ (value?.entries ?? []);
  return html`<form class="bar" onSubmit=${(/** @type {Event} */ event) => {
    event.preventDefault();
    go(typed);
  }}>
      <${Field} label=${T.path} value=${typed} onInput=${setTyped} /><button type="submit">${T.open}</button>
      <button type="button" disabled=${folder === "/"} onClick=${() => go(parentOf(folder))}>${T.up}</button>
      <button type="button" onClick=${() => download("/download-zip", folder)}>${T.downloadZip}</button>
      <label class="field"><span>${T.upload}</span><input type="file" multiple onChange=${upload} /></label></form>
    <${Problem} error=${state.error ?? error} /><${Notice} text=${state.text} /><${Pending} value=${value} error=${error} />
    ${value?.complete === false && html`<p class="notice">${T.notAll}</p>`}
    ${
      value &&
      html`<${Table} label=${T.files} heads=${[T.name, T.type, T.size, T.modified, T.actions]}>${entries.map(
        (
          entry,
        ) => html`<tr key=${entry.name}><th scope="row">${entry.type === "directory" ? html`<button class="plain" onClick=${() => go(joinPath(folder, entry.name))}>${entry.name}/</button>` : entry.name}${entry.target && ` → ${entry.target}`}</th>
          <td>${entry.type}</td><td class="number">${entry.type === "file" ? formatBytes(entry.size) : ""}</td><td>${formatTime(entry.modified)}</td>
          <td>${entry.type === "file" && html`<button aria-label=${`${T.download} ${entry.name}`} onClick=${() => download("/download", joinPath(folder, entry.name))}>${T.download}</button>`}</td></tr>`,
      )}</${Table}>`
    }`;
}
