import { mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { until } from "../../../scripts/process";
import { type Authority, makeAuthority } from "../../support/authority";
import { sleeper, uniqueName } from "../../support/cluster-containers";
import { configWithHeaders, dockerAt } from "../../support/docker-commands";
import { type Engine, leaseEngine } from "../../support/engine";
import type { CertificateFiles } from "../../support/https";
import { importBusybox } from "../../support/images";
import { type SecureNode, startSecureNode } from "../../support/secure-node";
import { TOKEN } from "../../support/server";
import { openTerminal } from "../../support/terminal";

const NAME = "node.example.org";
const DEADLINE = 20_000;

let engines: [Engine, Engine];
let authority: Authority;
let stranger: Authority;
let folder: string;
const nodes: SecureNode[] = [];
beforeAll(async () => {
  [authority, stranger] = await Promise.all([makeAuthority(), makeAuthority()]);
  engines = await Promise.all([leaseEngine({ name: "n1" }), leaseEngine({ name: "n2" })]);
  await Promise.all(engines.map((engine) => importBusybox(engine)));
});
afterAll(async () => {
  await Promise.all(engines.map((engine) => engine.stop()));
  for (const each of [authority, stranger]) each.stop();
});
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), "docker-server-tls-"));
});
afterEach(async () => {
  await Promise.all(nodes.splice(0).map((node) => node.stop()));
  rmSync(folder, { recursive: true, force: true });
});

interface Wanted {
  files: CertificateFiles;
  /** its first name unless another is given */
  servername?: string;
  by?: Authority;
  args?: string[];
  env?: NodeJS.ProcessEnv;
}

/** Starts a node on each engine. */
async function startPair(one: Wanted, other: Wanted): Promise<[SecureNode, SecureNode]> {
  const start = (engine: Engine, { files, servername = NAME, by = authority, args, env }: Wanted) =>
    startSecureNode(engine, { folder, files, trust: { ca: readFileSync(by.root), servername }, args: args ?? [], env: env ?? {} });
  const pair = await Promise.all([start(engines[0], one), start(engines[1], other)]);
  nodes.push(...pair);
  return pair;
}

const trusting = (...by: Authority[]) => by.flatMap(({ root }) => ["--peer_ca", root]);

/** How a node reports another: reachable, or the reason why not. */
async function viewOf(node: SecureNode, other: string): Promise<{ reachable: boolean; reason?: string } | undefined> {
  const { json } = await node.request("GET", "/nodes");
  return json.nodes.find(({ name }: { name: string }) => name === other);
}

const reaches = (node: SecureNode, other: string) => until(async () => (await viewOf(node, other))?.reachable === true, DEADLINE);

/** Whether a node reports another as unreachable for a matching reason before the deadline. */
const refuses = (node: SecureNode, other: string, reason: RegExp) =>
  until(async () => reason.test((await viewOf(node, other))?.reason ?? ""), DEADLINE);

async function expectWhole([one, other]: [SecureNode, SecureNode]): Promise<void> {
  expect(await reaches(one, other.name)).toBe(true);
  expect(await reaches(other, one.name)).toBe(true);
}

test("nodes reached by address verify one certificate's name; list, run, exec, logs, remove and terminals work through both", async () => {
  const files = await authority.issue(NAME);
  const pair = await startPair({ files, args: trusting(authority) }, { files, args: trusting(authority) });
  await expectWhole(pair);
  for (const [one, other] of [pair, [...pair].reverse() as typeof pair]) {
    const name = uniqueName("secure");
    const placed = await one.request("PUT", `/?node=${other.name}`, sleeper({ name, data: ["sh", "-c", "echo started; sleep 100000"] }));
    expect(placed).toMatchObject({ status: 200, json: { host: other.name } });
    expect((await one.request("GET", "/")).json.map((container: { name: string }) => container.name)).toContain(name);
    expect(await one.request("POST", `/${name}`, { data: "echo hello" })).toMatchObject({ status: 200, json: [{ stdout: "hello\n" }] });
    expect(await one.request("GET", `/${name}`)).toMatchObject({ status: 200, json: [{ stdout: "started\n", host: other.name }] });
    const address = engines.find((engine) => engine.name === one.name)?.address;
    const trust = { ca: readFileSync(authority.root), servername: NAME };
    const terminal = await openTerminal(`https://${address}:1717`, `/ws/${name}?cols=123&rows=45`, trust);
    terminal.type("stty size; exit 5\n");
    await terminal.shows(/45 123\r\n/);
    expect((await terminal.gets("exit")).code).toBe(5);
    const config = configWithHeaders({ "X-Access-Token": TOKEN });
    const counted = { args: `exec --interactive ${name} wc -c`, input: "x".repeat(100_000) };
    const executed = await dockerAt(`tcp://${address}:1717`, counted, name, {
      cli: "docker --tls --tlscacert= --tlscert= --tlskey=",
      config,
    });
    expect(executed).toMatchObject({ stdout: "100000\n", stderr: "", code: 0 });
    expect(await one.request("DELETE", `/${name}`)).toMatchObject({ status: 200, json: [{ removed: true }] });
  }
  const placed = await Promise.all(pair.map((node) => node.request("PUT", "/", sleeper({ network: "none" }))));
  expect(placed.map(({ status }) => status)).toEqual([200, 200]);
});

test("a wildcard certificate works", async () => {
  const files = await authority.issue("*.example.org");
  const wanted = { files, args: trusting(authority) };
  await expectWhole(await startPair(wanted, wanted));
});

test("a node with a certificate of another authority is missing, with the reason, and gets no request", async () => {
  const [good, bad] = [await authority.issue(NAME), await stranger.issue(NAME)];
  const [one] = await startPair({ files: good, args: trusting(authority) }, { files: bad, by: stranger, args: trusting(authority) });
  expect(await refuses(one, "n2", /CERT|SIGNATURE|ISSUER/i)).toBe(true);
  expect((await one.request("GET", "/nodes")).json).toMatchObject({ complete: false, missing: ["n2"] });
  expect(await one.request("PUT", "/?node=n2", sleeper())).toMatchObject({ status: 502, json: { code: "NODE_FAILED" } });
  expect(await one.request("PUT", "/", sleeper({ network: "none" }))).toMatchObject({ status: 200, json: { host: "n1" } });
});

test("a certificate for another name is refused, even from the right authority", async () => {
  const [own, other] = [await authority.issue(NAME), await authority.issue("other.example.org")];
  const [one] = await startPair(
    { files: own, args: trusting(authority) },
    { files: other, servername: "other.example.org", args: trusting(authority) },
  );
  expect(await refuses(one, "n2", /ALTNAME/i)).toBe(true);
});

test("--peer_servername is the name expected in the peers' certificates, independent of the node's own", async () => {
  const issue = (node: string) => authority.issue(`${node}.example.org`, "pool.example.org");
  const args = [...trusting(authority), "--peer_servername=pool.example.org"];
  const wanted = async (node: string) => ({ files: await issue(node), servername: "pool.example.org", args });
  await expectWhole(await startPair(await wanted("n1"), await wanted("n2")));
});

test("without --peer_ca a private authority is refused with the reason, and trusted if the system trusts it", async () => {
  const files = await authority.issue(NAME);
  const [one, other] = await startPair({ files }, { files, env: { NODE_EXTRA_CA_CERTS: authority.root } });
  expect(await refuses(one, "n2", /CERT|SIGNATURE|ISSUER/i)).toBe(true);
  expect(await reaches(other, "n1")).toBe(true);
});

test("--peer_ca adds to the system's roots and does not replace them", async () => {
  const [own, other] = [await authority.issue(NAME), await stranger.issue(NAME)];
  const args = trusting(authority);
  // Makes Node use the system's roots, and this file the system's roots.
  const env = { NODE_OPTIONS: "--use-openssl-ca", SSL_CERT_FILE: stranger.root };
  const [one] = await startPair({ files: own, args, env }, { files: other, by: stranger, args, env });
  expect(await reaches(one, "n2")).toBe(true);
});

test("nodes reach each other during and after a renewal that moves the certificate's files", async () => {
  const files = await authority.issue(NAME);
  const other = await authority.issue(NAME);
  const args = trusting(authority);
  const pair = await startPair({ files, args }, { files: other, args });
  await expectWhole(pair);
  renameSync(files.cert, `${files.cert}.away`);
  for (let round = 0; round < 3; round += 1) {
    expect(await pair[0].request("PUT", "/?node=n2", sleeper({ network: "none" }))).toMatchObject({ status: 200 });
    expect((await pair[0].request("GET", "/nodes")).json).toMatchObject({ complete: true });
  }
  const renewal = await authority.issue(NAME);
  renameSync(renewal.privkey, files.privkey);
  renameSync(renewal.cert, files.cert);
  expect(await until(() => nodes[0]?.output().includes("renewed and is in use") ?? false, DEADLINE)).toBe(true);
  await expectWhole(pair);
  expect(await pair[1].request("PUT", "/?node=n1", sleeper({ network: "none" }))).toMatchObject({ status: 200 });
});
