import { randomUUID } from "node:crypto";
import { brotliCompressSync, deflateSync, gzipSync } from "node:zlib";
import type { Caveats } from "../../lib/access/caveats";
import { deriveTokenKey, makeToken } from "../../lib/access/token";
import { dockerApiAttacks } from "./docker-api-attacks";
import { type Answer, ask, type RequestOptions, TOKEN } from "./server";

/**
 * Makes tokens as a test server does.
 * @param secret its cluster key or root token
 */
export function narrowTokenOf(caveats: Caveats, secret = TOKEN): string {
  return makeToken(deriveTokenKey(secret), { expires: Math.floor(Date.now() / 1000) + 3600, ...caveats });
}

/** Sends requests with a token. */
export const holderOf =
  (url: string, token: string) =>
  (method: string, pathname: string, options: RequestOptions = {}) =>
    ask(url, method, pathname, { ...options, headers: { Authorization: `Bearer ${token}`, ...options.headers } });

/** How a body may be compressed, by its Content-Encoding; "chunked" is a body of unknown length that is not. */
const ENCODERS: Record<string, (bytes: Buffer) => Uint8Array<ArrayBuffer>> = {
  gzip: (bytes) => new Uint8Array(gzipSync(bytes)),
  deflate: (bytes) => new Uint8Array(deflateSync(bytes)),
  br: (bytes) => new Uint8Array(brotliCompressSync(bytes)),
  chunked: (bytes) => new Uint8Array(bytes),
};
export const ENCODINGS = Object.keys(ENCODERS);

/** Sends a JSON body with a token, in chunks and compressed. */
export async function sendEncoded(
  url: string,
  token: string,
  method: string,
  path: string,
  json: unknown,
  encoding: string,
): Promise<Answer> {
  const bytes = (ENCODERS[encoding] as (typeof ENCODERS)[string])(Buffer.from(JSON.stringify(json)));
  const response = await fetch(url + path, {
    method,
    headers: {
      Authorization: `Bearer ${token}`,
      "Content-Type": "application/json",
      ...(encoding === "chunked" ? {} : { "Content-Encoding": encoding }),
    },
    body: new Blob([bytes]).stream(),
    duplex: "half",
  } as RequestInit);
  const text = await response.text();
  return { status: response.status, headers: response.headers, text, json: text.startsWith("{") ? JSON.parse(text) : undefined };
}

/** What belongs to another customer on the attacked host. */
export interface Victim {
  /** a running container's name and full id */
  name: string;
  id: string;
  /** a container whose image alone has the attacker's label */
  lookalike: string;
  volume: string;
  /** an image that has the attacker's label */
  image: string;
  network: string;
  /** the node that holds them */
  node: string;
  /** a text that only the victim's container, volume and log hold */
  secret: string;
}

export interface Attack {
  name: string;
  send: () => Promise<Answer>;
}

/** Tries of a token that is confined to `customer=a`, at what belongs to others. None may succeed. */
export function attacksOf(url: string, token: string, victim: Victim): Attack[] {
  const request = holderOf(url, token);
  const { name, id, lookalike, volume, image, network, node, secret } = victim;
  const fresh = () => `attack-${randomUUID().slice(0, 8)}`;
  const attacks: Attack[] = [];
  const add = (title: string, send: () => Promise<Answer>) => attacks.push({ name: title, send });
  const run = (title: string, more: object) =>
    add(`PUT / ${title}`, () => request("PUT", "/", { json: { image: "busybox", name: fresh(), detach: true, remove: true, ...more } }));

  for (const target of [name, id, id.slice(0, 12), id.slice(0, 20), lookalike, encodeURIComponent(`/${name}`)]) {
    const shown = target.slice(0, 24);
    add(`logs of ${shown}`, () => request("GET", `/${target}`));
    add(`exec in ${shown}`, () => request("POST", `/${target}`, { json: { data: "hostname" } }));
    add(`inspect ${shown}`, () => request("GET", `/containers/${target}`));
    add(`stop ${shown}`, () => request("POST", `/containers/${target}/stop`));
  }
  add("remove by name", () => request("DELETE", `/${name}`));
  add("remove by id", () => request("DELETE", `/${id}`));
  add("remove as a resource", () => request("DELETE", `/containers/${name}?force=true`));
  for (const action of ["start", "restart", "pause", "unpause"]) add(action, () => request("POST", `/containers/${name}/${action}`));
  add("rename", () => request("POST", `/containers/${name}/rename`, { json: { name: fresh() } }));
  add("PATCH", () => request("PATCH", `/containers/${name}`, { json: { env: { A: "b" } } }));
  add("PATCH of ports", () => request("PATCH", `/containers/${name}/ports`, { json: { ports: [] } }));
  for (const part of ["status", "logs", "logs?follow=true", "stats", "stats?stream=true", "top", "files?path=/", "download-zip?path=/etc"])
    add(`GET ${part}`, () => request("GET", `/containers/${name}/${part}`));
  add("download", () => request("GET", `/containers/${name}/download?path=/secret`));
  add("HEAD download", () => request("HEAD", `/containers/${name}/download?path=/secret`));
  add("upload", () =>
    request("POST", `/containers/${name}/upload-zip?path=/tmp`, { headers: { "Content-Type": "application/zip" }, form: "PK" }),
  );
  add("exec as a resource", () => request("POST", `/containers/${name}/exec`, { json: { command: ["cat", "/secret"] } }));
  for (const kind of ["download", "download-zip"])
    add(`a ticket for a ${kind}`, () => request("POST", `/containers/${name}/${kind}/ticket?path=/secret`));
  add("a ticket for a terminal", () => request("POST", `/ws/${name}/ticket`));
  add("where its port is", () => request("GET", `/proxy/${name}`));
  add("the proxy", () => request("GET", `/proxy/${name}/`));
  add("the proxy by id", () => request("GET", `/proxy/${id}/?port=80`));
  add("the proxy with an absolute target", () => request("GET", `/proxy/${name}/`, { headers: { Cookie: "docker-server-proxy=1.2.3" } }));
  add("a pinned node", () => request("GET", `/containers/${name}?node=${encodeURIComponent(node)}`));
  add("a pinned exec", () => request("POST", `/${id}?node=${encodeURIComponent(node)}`, { json: { data: "cat /secret" } }));
  for (const header of ["x-docker-server-peer", "X-Docker-Server-Peer"]) {
    const claim = Buffer.from(JSON.stringify({ from: "n9", to: node, method: "GET", url: `/${name}`, caller: "root", left: 9999 }));
    add(`a forged ${header}`, () => request("GET", `/${name}`, { headers: { [header]: `${claim.toString("base64url")}.AAAA` } }));
  }
  add("a cookie", () => request("GET", `/${name}`, { headers: { Cookie: `token=${TOKEN.slice(0, 4)}` } }));
  add("read its volume", () => request("GET", `/volumes/${volume}`));
  add("remove its volume", () => request("DELETE", `/volumes/${volume}`));
  add("fill its volume", () =>
    request("POST", "/volume", { json: { name: volume, content: gzipSync(Buffer.alloc(1024)).toString("base64") } }),
  );
  add("create its volume", () => request("POST", "/volume", { json: { name: volume, labels: { customer: "a" } } }));
  add("a volume that is a folder of the host", () =>
    request("POST", "/volume", { json: { name: fresh(), driver_opts: { type: "none", o: "bind", device: "/" } } }),
  );
  add("a volume with a label of this server", () =>
    request("POST", "/volume", { json: { name: fresh(), labels: { "docker-server.expires": "1" } } }),
  );
  run("with its volume", { volumes: { [volume]: "/v" }, data: "sleep 60" });
  run("with a folder of the host", { volumes: { "/etc": "/v" } });
  run("with the socket", { volumes: { "/var/run/docker.sock": "/s" } });
  run("with the root", { volumes: { "/": "/v:ro" } });
  run("in its network namespace", { network: `container:${name}` });
  run("in its network namespace by id", { network: `container:${id.slice(0, 12)}` });
  run("in its network", { network });
  run("in the host's network", { network: "host" });
  run("in its processes", { pid: `container:${name}` });
  run("in its memory", { ipc: `container:${id}` });
  run("privileged", { privileged: true });
  run("with a capability", { cap_add: ["SYS_ADMIN"] });
  run("with a device", { devices: ["/dev/kmsg"] });
  run("in the host's processes", { pid: "host" });
  run("with its name", { name });
  run("with a label of this server", { labels: { "docker-server.run": name } });
  run("with a spec label", { labels: { "docker-server.spec": "{}", "docker-server.cuid": name } });
  run("as part of another's compose project", { labels: { "com.docker.compose.project": name } });
  run("of an image that has the label itself", { image, pull: "never" });
  add("a form with a label twice", () =>
    request("PUT", "/", { form: `image=busybox&name=${name}&labels[customer]=a&labels[customer]=b&detach=true` }),
  );
  add("a field in another spelling", () => request("PUT", "/", { json: { image: "busybox", Privileged: true, detach: true } }));
  add("a body that is too large", () => request("PUT", "/", { json: { image: "busybox", data: "x".repeat(11_000_000) } }));
  add("a body that is not compressed as it says", () =>
    request("PUT", "/", { headers: { "Content-Encoding": "gzip" }, json: { image: "busybox", volumes: { "/": "/v" } } }),
  );
  const encoded = (title: string, method: string, path: string, json: unknown, kinds = ENCODINGS) => {
    for (const kind of kinds) add(`${title}, ${kind}`, () => sendEncoded(url, token, method, path, json, kind));
  };
  encoded("PUT / with the root", "PUT", "/", { image: "busybox", name: fresh(), detach: true, remove: true, volumes: { "/": "/v" } });
  encoded("exec", "POST", `/${name}`, { data: "cat /secret" });
  encoded("PUT / with a label of this server", "PUT", "/", { image: "busybox", labels: { "docker-server.run": name } }, ["br"]);
  encoded("a body that unpacks to more than the limit", "PUT", "/", { image: "busybox", data: "x".repeat(11_000_000) });
  add("POST /run with its volume", () =>
    request("POST", "/run", {
      json: {
        image: "busybox",
        pull_policy: "never",
        command: ["cat", "/v/secret"],
        volumes: { "/v": { type: "volume", name: volume, response: true } },
      },
    }),
  );
  add("POST /run with a folder of the host", () =>
    request("POST", "/run", {
      json: {
        image: "busybox",
        pull_policy: "never",
        command: "ls /v",
        volumes: { "/v": { type: "host", host_path: "/etc", response: true } },
      },
    }),
  );
  add("POST /run of an image that has the label itself", () =>
    request("POST", "/run", { json: { image, pull_policy: "never", command: "true" } }),
  );
  add("POST /containers/run with its volume", () =>
    request("POST", "/containers/run", { json: { image: "busybox", container_port: 80, volumes: [`${volume}:/v`] } }),
  );
  add("POST /containers/run in its network", () =>
    request("POST", "/containers/run", { json: { image: "busybox", container_port: 80, network: `container:${name}` } }),
  );
  for (const query of ["q=secret", `q=secret&containers=${name}`, `q=secret&containers=${id.slice(0, 12)},${victim.lookalike}&since=1h`])
    add(`a search of logs, ${query}`, async () => {
      const answer = await request("GET", `/logs/search?${query}`);
      // An answer without lines is the refusal.
      return answer.status === 200 && /^\{"event":"result","lines":0,/.test(answer.text) ? { ...answer, status: 404 } : answer;
    });
  dockerApiAttacks(request, victim, add);
  add("metrics", () => request("GET", "/metrics"));
  add("removal of an image", () => request("DELETE", "/images/busybox?force=true"));
  add("an explained placement", () => request("PUT", "/?explain=true", { json: { image: "busybox", detach: true, remove: true } }));
  for (const [tool, args] of Object.entries({
    inspect: { id: name },
    read_file: { id: name, path: "/secret" },
    write_files: { id: name, path: "/", files: { secret: "changed" } },
    http_request: { id: name },
    control: { id: name, action: "stop" },
    exec: { id, command: "cat /secret" },
    logs: { id: name },
    remove: { id: name },
    list_files: { id: name, path: "/" },
    run_container: { image: "busybox", volumes: { [volume]: "/v" } },
  }))
    add(`MCP ${tool}`, async () => {
      const params = { name: tool, arguments: args };
      const answer = await request("POST", "/mcp", { json: { jsonrpc: "2.0", id: 1, method: "tools/call", params } });
      return { ...answer, status: answer.json?.result?.isError ? 403 : answer.json?.result ? 200 : 400 };
    });
  for (const credential of [token.slice(0, -1), `${token}A`, token.replace(/\.[^.]+$/, ""), token.replace("ds1_", "ds2_"), secret])
    add("a changed token", () => request("GET", `/${name}`, { headers: { Authorization: `Bearer ${credential}` } }));
  return attacks;
}
