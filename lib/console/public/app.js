import { forget, hasCredentials, whenRefused, whoami } from "./api.js";
import { CodePage } from "./code-page.js";
import { ContainerPage } from "./container-page.js";
import { ContainersPage } from "./containers-page.js";
import { LogsPage } from "./logs-page.js";
import { NodesPage } from "./nodes-page.js";
import { OtherNodes } from "./other-nodes.js";
import { Palette } from "./palette.js";
import { render } from "./preact.mjs";
import { RunPage } from "./run-page.js";
import { SearchPage } from "./search-page.js";
import { SignIn } from "./sign-in.js";
import { ActivityPage, ImagesPage, VolumesPage } from "./simple-pages.js";
import { T } from "./strings.js";
import { addressOf, html, Link, Notice, navigate, Problem, useAddress, useEffect, useState } from "./view.js";

/**
 * The pages by the first part of their address, with the permission that each needs.
 * @type {Record<string, {title: string, permission: string, view: (props: any) => any}>}
 */
const PAGES = {
  nodes: { title: T.nodes, permission: "nodes", view: NodesPage },
  containers: { title: T.containers, permission: "read", view: ContainersPage },
  run: { title: T.run, permission: "containers", view: RunPage },
  code: { title: T.code, permission: "run", view: CodePage },
  images: { title: T.images, permission: "read", view: ImagesPage },
  volumes: { title: T.volumes, permission: "read", view: VolumesPage },
  logs: { title: T.followLogs, permission: "logs", view: LogsPage },
  search: { title: T.search, permission: "logs", view: SearchPage },
  activity: { title: T.activity, permission: "admin", view: ActivityPage },
};

function App() {
  const [page = "", ...rest] = useAddress();
  const [identity, setIdentity] = useState(/** @type {import("./api.js").Identity | undefined} */ (undefined));
  const [state, setState] = useState({ ended: false, note: "", error: /** @type {Error | undefined} */ (undefined) });
  useEffect(() => {
    whenRefused(() => {
      setIdentity(undefined);
      setState((before) => ({ ...before, ended: true }));
    });
    if (hasCredentials()) whoami().then(setIdentity, (error) => setState((before) => ({ ...before, error })));
  }, []);
  const allowed = Object.entries(PAGES).filter(([, { permission }]) => identity?.can.includes(permission));
  useEffect(() => {
    if (identity && page === "" && allowed[0]) navigate(addressOf(identity.can.includes("read") ? "containers" : allowed[0][0]));
  }, [identity, page]);

  if (!identity) {
    if (hasCredentials())
      return html`<main><${Problem} error=${state.error} />${!state.error && html`<p role="status">${T.loading}</p>`}</main>`;
    const signedIn = (/** @type {import("./api.js").Identity} */ who, /** @type {string} */ note) => {
      setState({ ended: false, note, error: undefined });
      setIdentity(who);
    };
    return html`<${SignIn} key=${String(state.ended)} ended=${state.ended} onSignedIn=${signedIn} />`;
  }
  const signOut = () => {
    forget();
    setState({ ended: false, note: "", error: undefined });
    setIdentity(undefined);
  };
  const current = Object.hasOwn(PAGES, page) ? PAGES[page] : undefined;
  const view = current && rest[0] !== undefined && page === "containers" ? ContainerPage : current?.view;
  const title = current ? current.title : T.title;
  document.title = `${rest[0] ?? title} · ${T.title}`;
  return html`<a class="skip" href="#content">${T.skip}</a>
    <header><strong>${T.title}</strong>
      <nav aria-label=${T.nav}>${allowed.map(([name, each]) => html`<${Link} to=${addressOf(name)} current=${name === page}>${each.title}</${Link}>`)}</nav>
      <span class="who">${identity.user}</span><button onClick=${signOut}>${T.signOut}</button></header>
    <main id="content" tabindex="-1"><${OtherNodes} identity=${identity} />${state.note && html`<${Notice} text=${state.note} />`}
      ${
        page === ""
          ? null
          : !current
            ? html`<h1>${T.title}</h1><p>${T.noSuchPage}</p>`
            : identity.can.includes(current.permission)
              ? html`<${view} key=${[page, rest[0]].join("/")} identity=${identity} parts=${rest} />`
              : html`<h1>${title}</h1><p>${T.nothingAllowed}</p>`
      }</main>
    <${Palette} pages=${allowed.map(([name, each]) => ({ title: each.title, address: addressOf(name) }))} canRead=${identity.can.includes("read")} />`;
}

render(html`<${App} />`, /** @type {HTMLElement} */ (document.getElementById("app")));
