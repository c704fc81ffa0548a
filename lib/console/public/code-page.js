import { send } from "./api.js";
import { sandboxOf } from "./format.js";
import { curlLine } from "./run-form.js";
import { T } from "./strings.js";
import { Field, html, Problem, useState } from "./view.js";

const EXAMPLE = '{"language": "python", "files": [{"name": "main.py", "content": "print(42)"}]}';

/** @param {string} payload @throws {Error} */
function parsePayload(payload) {
  try {
    return JSON.parse(payload);
  } catch (error) {
    throw new Error(T.notJson + /** @type {Error} */ (error).message);
  }
}

/** Runs code in a sandbox. */
export function CodePage() {
  const [image, setImage] = useState("glot/python:latest");
  const [payload, setPayload] = useState(EXAMPLE);
  const [state, setState] = useState({ result: "", took: "", error: /** @type {Error | undefined} */ (undefined), isBusy: false });
  async function run(/** @type {Event} */ event) {
    event.preventDefault();
    setState({ result: "", took: "", error: undefined, isBusy: true });
    const startedAt = performance.now();
    try {
      const response = await send("POST", "/run", { json: { image, payload: parsePayload(payload) } });
      const answer = await response.json();
      const took = T.took(Math.round(performance.now() - startedAt), sandboxOf(response.headers.get("X-Run-Sandbox") ?? ""));
      setState({ result: JSON.stringify(answer, null, 2), took, error: undefined, isBusy: false });
    } catch (thrown) {
      setState({ result: "", took: "", error: /** @type {Error} */ (thrown), isBusy: false });
    }
  }
  let line = "";
  try {
    line = curlLine("POST", `${location.origin}/run`, { image, payload: parsePayload(payload) });
  } catch {
    // The payload is being typed.
  }
  return html`<h1>${T.code}</h1><form class="form long-texts" onSubmit=${run}>
      <${Field} label=${T.image} required value=${image} onInput=${setImage} /><${Field} label=${T.payload} rows=${8} value=${payload} onInput=${setPayload} />
      <button type="submit" disabled=${state.isBusy}>${T.run}</button></form>
    <${Problem} error=${state.error} />
    <div role="status" aria-live="polite">${state.result && html`<h2>${T.result}</h2><p>${state.took}</p><pre tabindex="0" aria-label=${T.result}>${state.result}</pre>`}</div>
    <h2>${T.asCurl}</h2><pre tabindex="0" aria-label=${T.asCurl}>${line}</pre>`;
}
