import { call } from "./api.js";
import { mayExplain } from "./format.js";
import { PlacementPicture } from "./placement.js";
import { curlLine, dockerLine, EMPTY_FIELDS, runBody } from "./run-form.js";
import { T } from "./strings.js";
import { addressOf, Field, html, Link, Problem, useState } from "./view.js";

const RESTART_POLICIES = ["", "no", "always", "unless-stopped", "on-failure"];

/** Runs a container by a form. @param {{identity: import("./api.js").Identity}} props */
export function RunPage({ identity }) {
  const [fields, setFields] = useState(EMPTY_FIELDS);
  const [state, setState] = useState({
    answer: /** @type {any} */ (undefined),
    error: /** @type {Error | undefined} */ (undefined),
    isBusy: false,
  });
  const field = (/** @type {keyof EMPTY_FIELDS} */ name, /** @type {string} */ label, /** @type {object} */ more = {}) =>
    html`<${Field} label=${label} value=${fields[name]} onInput=${(/** @type {string} */ value) => setFields((before) => ({ ...before, [name]: value }))} ...${more} />`;
  async function run(/** @type {Event} */ event) {
    event.preventDefault();
    setState({ answer: undefined, error: undefined, isBusy: true });
    try {
      setState({
        answer: await call("PUT", mayExplain(identity) ? "/?explain=true" : "/", { json: runBody(fields) }),
        error: undefined,
        isBusy: false,
      });
    } catch (thrown) {
      setState({ answer: undefined, error: /** @type {Error} */ (thrown), isBusy: false });
    }
  }
  const { answer, error, isBusy } = state;
  return html`<h1>${T.run}</h1><form class="form" onSubmit=${run}>
      ${field("image", T.image, { required: true })}${field("name", T.name)}${field("command", T.command)}
      ${field("env", T.environment, { rows: 2 })}${field("ports", T.portsHint, { rows: 2 })}${field("volumes", T.volumesHint, { rows: 2 })}${field("labels", T.labelsHint, { rows: 2 })}
      ${field("memory", T.memory, { placeholder: "256m" })}${field("cpus", T.cpu, { placeholder: "0.5" })}
      <label class="field"><span>${T.restartPolicy}</span><select value=${fields.restart_policy} onChange=${(/** @type {any} */ event) => setFields({ ...fields, restart_policy: event.currentTarget.value })}>
        ${RESTART_POLICIES.map((each) => html`<option value=${each}>${each}</option>`)}</select></label>
      <button type="submit" disabled=${isBusy}>${T.run}</button></form>
    <${Problem} error=${error} />
    <div role="status" aria-live="polite">${answer && html`<p class="notice">${answer.name}: ${answer.status} (${answer.host}) ${answer.id && html`<${Link} to=${addressOf("containers", answer.id)}>${T.open}</${Link}>`}</p>`}</div>
    ${answer?.placement && html`<${PlacementPicture} placement=${answer.placement} />`}
    <h2>${T.asCurl}</h2><pre tabindex="0" aria-label=${T.asCurl}>${curlLine("PUT", `${location.origin}/`, runBody(fields))}</pre>
    <h2>${T.asDocker}</h2><pre tabindex="0" aria-label=${T.asDocker}>${dockerLine(fields)}</pre>`;
}
