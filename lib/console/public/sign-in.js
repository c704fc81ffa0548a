import { ApiError, remember, signIn } from "./api.js";
import { T } from "./strings.js";
import { Field, html, Problem, useState } from "./view.js";

/** @param {{ended: boolean, onSignedIn: (identity: import("./api.js").Identity, note: string) => void}} props */
export function SignIn({ ended, onSignedIn }) {
  const [byToken, setByToken] = useState(true);
  const [fields, setFields] = useState({ token: "", user: "", password: "" });
  const [isKept, setKept] = useState(false);
  const [error, setError] = useState(/** @type {Error | undefined} */ (ended ? new Error(T.expired) : undefined));
  const set = (/** @type {string} */ name) => (/** @type {string} */ value) => setFields((before) => ({ ...before, [name]: value }));

  async function submit(/** @type {Event} */ event) {
    event.preventDefault();
    const { token, user, password } = fields;
    try {
      const identity = await signIn(byToken ? { token: token.trim() } : { user, password });
      let note = "";
      if (isKept) await remember(identity).catch((/** @type {Error} */ failure) => (note = T.rememberRefused + failure.message));
      onSignedIn(identity, note);
    } catch (failure) {
      setError(failure instanceof ApiError && failure.status === 401 ? new Error(T.wrongCredentials) : /** @type {Error} */ (failure));
    }
  }

  const way = (/** @type {boolean} */ value, /** @type {string} */ text) =>
    html`<label><input type="radio" name="way" checked=${byToken === value} onChange=${() => setByToken(value)} /> ${text}</label>`;
  return html`<main class="sign-in"><h1>${T.title}</h1><form onSubmit=${submit}>
    <fieldset><legend>${T.signIn}</legend>${way(true, T.withToken)}${way(false, T.withPassword)}</fieldset>
    ${
      byToken
        ? html`<${Field} label=${T.token} type="password" required autocomplete="off" value=${fields.token} onInput=${set("token")} />`
        : html`<${Field} label=${T.user} required autocomplete="username" value=${fields.user} onInput=${set("user")} />
          <${Field} label=${T.password} type="password" required autocomplete="current-password" value=${fields.password} onInput=${set("password")} />`
    }
    <label><input type="checkbox" checked=${isKept} onChange=${() => setKept(!isKept)} /> ${T.remember}</label>
    <${Problem} error=${error} /><button type="submit">${T.signIn}</button></form></main>`;
}
