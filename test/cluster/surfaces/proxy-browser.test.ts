import { randomUUID } from "node:crypto";
import type { Request, Response } from "express";
import WebSocket from "ws";
import { Access } from "../../../lib/access/access";
import { Credentials } from "../../../lib/auth/credentials";
import { Signatures } from "../../../lib/cluster/rpc/signatures";
import { BrowserSessions } from "../../../lib/proxy/browser-sessions";
import { until } from "../../../scripts/process";
import { startCluster, type TestCluster, type TestNode } from "../../support/cluster";
import { type Answer, ask, TOKEN } from "../../support/server";
import { dockerOf } from "../../support/single-node";
import { quietLog } from "../../support/unit/quiet-log";
import { gotHeader, startWeb } from "../../support/web-container";

let cluster: TestCluster;
let holder: TestNode;
let other: TestNode;
let id: string;
const web = `web-${randomUUID().slice(0, 8)}`;

beforeAll(async () => {
  cluster = await startCluster({ size: 2, args: ["--proxy_port=1718"] });
  [holder, other] = cluster.nodes as [TestNode, TestNode];
  id = await startWeb(holder.engine, web);
});

afterAll(() => cluster?.stop());

const get = ({ engine }: TestNode, headers: Record<string, string>): Promise<Answer> =>
  ask(`http://${engine.address}:1718`, "GET", `/proxy/${web}/a%2Fb?c`, { anonymous: true, headers });
const cookieOf = (header: string | undefined) => header?.split(";")[0] ?? "";

test("a cookie set by one node is accepted by every node and not forwarded to the container", async () => {
  for (const [issuer, receiver] of [
    [holder, other],
    [other, holder],
    [other, other],
  ] as const) {
    const signedIn = await get(issuer, { "X-Access-Token": TOKEN });
    expect([signedIn.status, signedIn.headers.getSetCookie().length]).toEqual([200, 1]);
    const { status, json, headers } = await get(receiver, { Cookie: cookieOf(signedIn.headers.getSetCookie()[0]) });
    expect([status, json.url, gotHeader(json, "cookie")]).toEqual([200, "/a%2Fb?c", undefined]);
    expect([headers.get("content-security-policy"), headers.getSetCookie()]).toEqual([null, []]);
  }
});

test("through any node an app's redirects lead below its path, and it opens its WebSocket though it compares Origin with Host", async () => {
  for (const { engine } of [holder, other]) {
    const pages = `http://${engine.address}:1718`;
    const headers = { "X-Access-Token": TOKEN };
    for (const path of ["redirect", "login"]) {
      const response = await fetch(`${pages}/proxy/${web}/${path}`, { headers, redirect: "manual" });
      expect([path, response.headers.get("location")]).toEqual([path, `/proxy/${web}/page/`]);
    }
    const socket = new WebSocket(`${pages.replace("http", "ws")}/proxy/${web}/same-origin`, { origin: pages, headers });
    const outcome = new Promise<string>((resolve) => {
      socket.on("open", () => socket.close()).on("close", () => resolve("open"));
      socket.on("error", (error) => resolve(error.message));
    });
    expect(await outcome).toBe("open");
  }
});

test("an expired cookie is refused by every node", async () => {
  const credentials = Credentials.load({ token: [TOKEN], token_file: null, user: null, password: null }, quietLog().log, TOKEN);
  const sessions = new BrowserSessions(
    new Signatures([TOKEN]),
    credentials,
    async () => id,
    () => Access.full,
  );
  /** A cookie that a node set this many hours ago. */
  const cookieSince = async (hours: number): Promise<string> => {
    let setCookie = "";
    const clock = jest.spyOn(Date, "now").mockReturnValue(Date.now() - hours * 3_600_000);
    const request = { url: `/proxy/${web}/`, headers: { "x-access-token": TOKEN } } as unknown as Request;
    const response = { locals: {}, append: (_name: string, value: string) => (setCookie = value) } as unknown as Response;
    const auth = sessions.sessionAuth(
      (_request, _response, next) => next(),
      () => undefined,
    );
    await new Promise<unknown>((resolve) => void auth(request, response, resolve));
    clock.mockRestore();
    return cookieOf(setCookie);
  };
  for (const node of [holder, other]) {
    const statuses = [];
    for (const hours of [0, 1.5, 2.5]) statuses.push((await get(node, { Cookie: await cookieSince(hours) })).status);
    expect(statuses).toEqual([200, 200, 401]);
  }
});

test("a cookie doesn't open another container that has the name later, through any node", async () => {
  const signedIn = await get(other, { "X-Access-Token": TOKEN });
  const Cookie = cookieOf(signedIn.headers.getSetCookie()[0]);
  await dockerOf(holder.engine, ["rm", "--force", web]);
  await startWeb(holder.engine, web);
  for (const node of [holder, other]) {
    // A node may know the old container's location for a moment.
    expect(await until(async () => (await get(node, { Cookie })).status === 401, 10_000)).toBe(true);
    expect((await get(node, { "X-Access-Token": TOKEN })).status).toBe(200);
  }
});
