import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { Access } from "../access/access";
import { describeClockDifference } from "../support/clock-difference";
import { drainBody } from "../support/drain-body";
import { type Finding, findingOf } from "../support/finding";
import type { Logger } from "../support/logger";
import { Peer } from "./membership/peer";
import { decodeRecord, storeKey } from "./membership/record";
import { openStore, type StoreSettings } from "./membership/store/open-store";
import { type Store, withStoreTimeout } from "./membership/store/store";
import { PeerClient } from "./rpc/peer-client";
import { PeerFailure } from "./rpc/peer-failure";
import { type PeerTlsSettings, peerTls } from "./rpc/peer-tls";
import { Signatures } from "./rpc/signatures";

export interface CheckedCluster extends StoreSettings, PeerTlsSettings {
  cluster_key: string[];
  token: string[];
  /** ms */
  peer_timeout: number;
}

/** The header Date tells the time to the second. */
const DATE_PRECISION_MS = 1000;
const STORE_REMEDY = "Check --folder, --s3 or --redis, its credentials, and that this machine reaches it and this user may write";
const KEY_REMEDY = "Give all nodes the same --cluster_key, or the same first --token; remove records that are not of this pool";
const PEER_REMEDY = "Check that it runs and has the same key, that this machine reaches its address (--advertise there), and --peer_ca";

/**
 * Checks the store and asks every other node in it, without becoming a member.
 * @param nodeName this node's
 */
export async function checkCluster(settings: CheckedCluster, nodeName: string, log: Logger): Promise<Finding[]> {
  let store: Store | undefined;
  let texts = new Map<string, string>();
  const inStore = await findingOf(
    "store",
    async () => {
      const isNew = settings.redis === null && settings.s3 === null && !existsSync(settings.folder);
      store = openStore(settings, log);
      texts = await checkStore(store);
      const made = isNew ? `; the folder ${settings.folder} was not there and was made: all nodes must share it` : "";
      return { found: `reached, written and read; it lists ${texts.size} node${texts.size === 1 ? "" : "s"}${made}` };
    },
    STORE_REMEDY,
  );
  await store?.close().catch(() => undefined);
  return [inStore, ...(await checkPeers(settings, nodeName, texts))];
}

/**
 * Writes a text, reads it and removes it.
 * @returns the other texts
 * @throws Error with the reason if one of these fails
 */
export async function checkStore(store: Store): Promise<Map<string, string>> {
  const key = `check_${randomUUID()}`;
  await store.assertUsable?.();
  await withStoreTimeout(store.publish(key, key));
  try {
    const texts = await withStoreTimeout(store.read());
    if (texts.get(key) !== key) throw new Error("what was written is not read again");
    return new Map([...texts].filter(([each]) => !each.startsWith("check_")));
  } finally {
    await withStoreTimeout(store.withdraw(key)).catch(() => undefined);
  }
}

async function checkPeers(settings: CheckedCluster, nodeName: string, texts: Map<string, string>): Promise<Finding[]> {
  const signatures = new Signatures(settings.cluster_key.length > 0 ? settings.cluster_key : settings.token);
  let tls: ReturnType<typeof peerTls>;
  try {
    tls = peerTls(settings);
  } catch (error) {
    return [{ subject: "peers", found: (error as Error).message, remedy: "Name a PEM file with --peer_ca" }];
  }
  const client = new PeerClient(nodeName, signatures, tls);
  try {
    const others = [...texts].filter(([key]) => key !== storeKey(nodeName));
    return await Promise.all(
      others.map(async ([key, text]) => {
        let peer: Peer;
        try {
          peer = new Peer(decodeRecord(text, signatures));
        } catch (error) {
          return { subject: `record ${key.slice(0, 100)}`, found: (error as Error).message.slice(0, 300), remedy: KEY_REMEDY };
        }
        return findingOf(`peer ${peer.name}`, () => askPeer(client, peer, settings.peer_timeout), PEER_REMEDY);
      }),
    );
  } finally {
    client.close();
  }
}

async function askPeer(client: PeerClient, peer: Peer, timeoutMs: number): Promise<{ found: string; remedy?: string }> {
  try {
    await client.call(peer, "ping", {}, timeoutMs);
    const health = { method: "GET", url: "/health", caller: "", access: Access.full, remainingMs: timeoutMs, timeoutMs };
    const answer = await client.send(peer, health);
    drainBody(answer);
    const clock = Date.parse(answer.headers.date ?? "") + DATE_PRECISION_MS / 2;
    return describePeer(peer.record.url, answer.statusCode === 200, clock - Date.now());
  } catch (error) {
    throw new Error(`${peer.record.url} does not answer: ${error instanceof PeerFailure ? error.reason : (error as Error).message}`);
  }
}

/**
 * Tells what a peer that answers is like.
 * @param clockDifferenceMs its clock minus this machine's; NaN if it told no time
 */
export function describePeer(url: string, healthy: boolean, clockDifferenceMs: number): { found: string; remedy?: string } {
  if (!healthy)
    return { found: `${url} answers, its engine does not`, remedy: "Run `docker-server check` there, with the settings of that node" };
  return describeClockDifference(`${url} answers, its clock`, clockDifferenceMs);
}
