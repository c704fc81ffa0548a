import { verifyToken } from "../../../lib/access/token";
import { Peer } from "../../../lib/cluster/membership/peer";
import { callPeer, includesSelf, poolOf as poolFor } from "../../../lib/cluster/pool";
import { forward } from "../../../lib/cluster/routing/forward";
import { idempotencyKeyOf } from "../../../lib/cluster/routing/routed-request";
import { assertEnforces, PeerClient } from "../../../lib/cluster/rpc/peer-client";
import { Signatures } from "../../../lib/cluster/rpc/signatures";
import { accessOf, TOKEN_KEY, tokenOf } from "../../support/unit/access-parts";
import { poolOf, recordOf, requestOf } from "../../support/unit/cluster-parts";

const signatures = new Signatures(["key"]);
const access = accessOf({ can: ["read"] }, { nodes: ["n0", "n1"] });
const claim = access.claim;
const request = { from: "n1", to: "n2", method: "GET", url: "/", caller: "ds1-x", left: 1000 };

/** How nodes without narrow tokens verify a request. */
const earlierVerify = (header: string) => {
  const [text = "", signature = ""] = header.split(".");
  return signatures.verify("request", text, signature);
};

describe("requests of narrow tokens between nodes", () => {
  test("the caveats travel in the signed claim", () => {
    const verified = new Signatures(["key"]).verifyRequest(signatures.signRequest({ ...request, token: claim }), request);
    expect(verified?.token).toEqual(claim);
  });

  test("a node of the version before refuses the signature, and so never carries the request out with all permissions", () => {
    expect(earlierVerify(signatures.signRequest(request))).toBe(true);
    expect(earlierVerify(signatures.signRequest({ ...request, token: claim }))).toBe(false);
  });

  test("a claim without its caveats, or with others, is refused", () => {
    const [text = "", signature = ""] = signatures.signRequest({ ...request, token: claim }).split(".");
    const { token: _, ...wide } = JSON.parse(Buffer.from(text, "base64url").toString());
    const forged = Buffer.from(JSON.stringify(wide)).toString("base64url");
    for (const header of [
      `${forged}.${signature}`,
      `${forged}.${signatures.sign("narrow request", forged)}`,
      `${text}.${signatures.sign("request", text)}`,
    ])
      expect(signatures.verifyRequest(header, request)).toBeUndefined();
  });

  test("a narrow request goes only to a node whose record says that it enforces the caveats", async () => {
    const old = new Peer(recordOf("n1"));
    const fresh = new Peer(recordOf("n1", { enforces: ["can", "nodes", "expires"] }));
    expect(() => assertEnforces(old, access)).toThrow("does not enforce");
    expect(() => assertEnforces(fresh, access)).not.toThrow();
    expect(() => assertEnforces(fresh, accessOf({ images: [] }))).toThrow("images");
    const client = new PeerClient("n0", signatures, () => ({}) as never);
    const pool = { ...poolOf({ peers: [old] }), client };
    await expect(forward(pool, old, requestOf({ access }), 1000)).rejects.toMatchObject({ sent: false, healthNeutral: true });
    await expect(callPeer(poolFor(pool, access), old, "find", { id: "web" })).rejects.toMatchObject({ healthNeutral: true });
    client.close();
  });

  test("a pool holds only the nodes that a token names", () => {
    const pool = poolOf({ peers: [new Peer(recordOf("n1")), new Peer(recordOf("n2"))] });
    const narrowed = poolFor(pool, access);
    expect(narrowed.members.peers.map(({ name }) => name)).toEqual(["n1"]);
    expect(includesSelf(narrowed)).toBe(true);
    expect(includesSelf(poolFor(pool, accessOf({ nodes: ["n1"] })))).toBe(false);
  });

  test("an Idempotency-Key belongs to the id of the token, which narrowing doesn't change", () => {
    const headers = { "idempotency-key": "order 1" };
    const token = tokenOf({ can: ["run"] });
    const id = verifyToken([TOKEN_KEY], token)?.id;
    expect(idempotencyKeyOf(requestOf({ headers }))).toBe("order 1");
    expect(idempotencyKeyOf(requestOf({ headers, access }))).toBe(`${claim?.id} order 1`);
    expect(id).not.toBe(claim?.id);
  });
});
