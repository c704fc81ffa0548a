import type { Answer } from "./server";
import type { holderOf, Victim } from "./token-attacks";

/** Tries of a token that is confined to `customer=a`, through the Docker API, at what belongs to others. None may succeed. */
export function dockerApiAttacks(
  request: ReturnType<typeof holderOf>,
  { name, id, lookalike, volume, image, network }: Victim,
  add: (title: string, send: () => Promise<Answer>) => void,
): void {
  const ask = (method: string, path: string, json?: unknown) =>
    add(`Docker API: ${method} ${path} ${JSON.stringify(json ?? "").slice(0, 150)}`, () =>
      request(method, `/v1.41${path}`, json === undefined ? {} : { json }),
    );
  const create = (body: object, query = "") =>
    ask("POST", `/containers/create${query}`, { Image: "busybox", Cmd: ["cat", "/v/secret"], ...body });
  const raw = (body: string) =>
    add(`Docker API: create ${body}`, () =>
      request("POST", "/v1.41/containers/create", { headers: { "Content-Type": "application/json" }, form: body }),
    );
  for (const target of [name, `%2F${name}`, id, id.slice(0, 12), id.slice(0, 5), lookalike]) {
    for (const part of ["json", "logs?stdout=1", "top", "changes", "export", "stats?stream=false", "archive?path=/secret"])
      ask("GET", `/containers/${target}/${part}`);
    for (const part of ["start", "stop", "kill", "restart", "pause", "attach?stdout=1", "wait", "resize?h=1&w=1", "rename?name=mine"])
      ask("POST", `/containers/${target}/${part}`);
    ask("POST", `/containers/${target}/exec`, { Cmd: ["cat", "/secret"], AttachStdout: true });
    ask("POST", `/containers/${target}/update`, { Memory: 0 });
    ask("DELETE", `/containers/${target}?force=1`);
    ask("POST", `/commit?container=${target}&repo=stolen`, {});
    create({ HostConfig: { VolumesFrom: [target] } });
    for (const mode of ["NetworkMode", "PidMode", "IpcMode"]) create({ HostConfig: { [mode]: `container:${target}` } });
    create({ HostConfig: { Links: [`${target}:x`] } });
    create({ NetworkingConfig: { EndpointsConfig: { bridge: { Links: [`${target}:x`] } } } });
  }
  add("Docker API: cp into it", () =>
    request("PUT", `/v1.41/containers/${name}/archive?path=/`, { headers: { "Content-Type": "application/x-tar" }, form: "" }),
  );
  create({}, `?name=${name}`);
  create({}, `?name=x&name=${name}`);
  create({}, "?name=docker-server-job-1");
  create({ HostConfig: { Binds: [`${volume}:/v`] } });
  create({ HostConfig: { Mounts: [{ Type: "volume", Source: volume, Target: "/v" }] } });
  create({
    HostConfig: {
      Mounts: [
        {
          Type: "volume",
          Source: "attack-driver",
          Target: "/v",
          VolumeOptions: { DriverConfig: { Name: "local", Options: { type: "none", o: "bind", device: "/" } } },
        },
      ],
    },
  });
  create({ HostConfig: { Mounts: [{ Type: "bind", Source: "/etc", Target: "/v" }] } });
  create({ HostConfig: { Binds: ["/:/v"] } });
  create({ HostConfig: { Binds: ["/var/run/docker.sock:/s"] } });
  create({ HostConfig: { NetworkMode: network } });
  create({ NetworkingConfig: { EndpointsConfig: { [network]: {} } } });
  create({ HostConfig: { NetworkMode: "host" } });
  create({ NetworkingConfig: { EndpointsConfig: { host: {} } } });
  create({ HostConfig: { Privileged: true } });
  create({ HostConfig: { privileged: true } });
  create({ hostConfig: { Privileged: true } });
  create({ HostConfig: { binds: [`${volume}:/v`] } });
  create({ HostConfig: { volumesFrom: [name] } });
  create({ HostConfig: { "Volume\u017fFrom": [name] } });
  create({ HostConfig: { "NetworkMode\u0000": `container:${name}` } });
  create({ Image: image });
  create({ Labels: { "docker-server.run": name } });
  create({ Labels: { "com.docker.compose.project": name } });
  raw(`{"Image":"busybox","HostConfig":{"Binds":[]},"HostConfig":{"Binds":["${volume}:/v"]}}`);
  raw(`{"Image":"busybox","HostConfig":{"VolumesFrom":[],"VolumesFrom":["${name}"]}}`);
  raw(`{"Image":"busybox","Labels":{"customer":"a"},"labels":{"customer":"b"}}`);
  ask("GET", `/volumes/${volume}`);
  ask("DELETE", `/volumes/${volume}?force=1`);
  ask("POST", "/volumes/create", { Name: volume });
  ask("POST", "/volumes/create", { Name: volume, Labels: { customer: "a" } });
  ask("POST", "/volumes/create", { Name: "attack-bind", DriverOpts: { type: "none", o: "bind", device: "/" } });
  ask("GET", `/networks/${network}`);
  ask("DELETE", `/networks/${network}`);
  ask("GET", "/networks/bridge");
  ask("DELETE", "/networks/bridge");
  ask("POST", `/networks/${network}/connect`, { Container: name });
  ask("POST", "/networks/create", { Name: network });
  ask("POST", "/networks/create", { Name: "attack-macvlan", Driver: "macvlan" });
  for (const [method, path] of [
    ["GET", "/info"],
    ["GET", "/system/df"],
    ["GET", "/events?until=1"],
    ["POST", "/containers/prune"],
    ["POST", "/volumes/prune"],
    ["POST", "/networks/prune"],
    ["POST", "/images/prune"],
    ["DELETE", "/images/busybox"],
    ["POST", "/build?remote=http://127.0.0.1/x"],
  ] as const)
    ask(method, path);
}
