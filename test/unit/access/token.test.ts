import { execFileSync } from "node:child_process";
import { createHmac } from "node:crypto";
import fc from "fast-check";
import { Access } from "../../../lib/access/access";
import type { Caveats } from "../../../lib/access/caveats";
import { PERMISSIONS } from "../../../lib/access/permissions";
import {
  makeToken,
  narrowToken,
  readCaveats,
  readClaim,
  readRequestedCaveats,
  signClaim,
  type TokenClaim,
  verifyToken,
} from "../../../lib/access/token";
import { inAnHour, TOKEN_KEY, tokenOf } from "../../support/unit/access-parts";
import { blocksOf } from "../../support/unit/markdown";
import { sourceOf } from "../../support/unit/sources";

const OTHER_KEY = Buffer.alloc(32, 8);
const read = (token: string) => Access.of(readClaim(token) as TokenClaim);

/** The vectors of docs/security.md: the key, then one token a line, each narrowed from the one before. */
const [keyLine = "", ...vectors] = (blocksOf(sourceOf("docs/security.md"), "text")[0] ?? "").trim().split("\n");
const vectorKey = Buffer.from(keyLine.replace("key ", ""), "hex");
const VECTOR_ID = "AAECAwQFBgcICQoL";
const VECTOR_LINKS: Caveats[] = [
  { can: ["read", "logs", "exec"], labels: { customer: "a" }, expires: 4102444800 },
  { can: ["read", "logs"] },
  { images: ["ghcr.io/acme/*"], from: ["10.0.0.0/8"] },
];

describe("tokens", () => {
  test("the documented vectors are what makeToken and narrowToken make", () => {
    const [first, ...others] = VECTOR_LINKS as [Caveats, ...Caveats[]];
    const made = [makeToken(vectorKey, first, VECTOR_ID)];
    for (const link of others) made.push(narrowToken(made.at(-1) as string, link));
    expect(vectors).toEqual(made);
    for (const token of vectors) expect(verifyToken([vectorKey], token)?.id).toBe(VECTOR_ID);
  });

  test("the documented program in Python makes the same vectors from the key, and verifies them", () => {
    const program = blocksOf(sourceOf("docs/security.md"), "python")[0] ?? "";
    const check = [
      "import sys",
      "key, links, tokens = bytes.fromhex(sys.argv[1]), json.loads(sys.argv[2]), json.loads(sys.argv[3])",
      "made = [sign(key, sys.argv[4], links[:1])]",
      "for caveats in links[1:]: made.append(narrow(made[-1], caveats))",
      "assert made == tokens, made",
      "for count in range(len(links)): assert sign(key, sys.argv[4], links[:count + 1]) == tokens[count]",
      "print('same')",
    ].join("\n");
    const args = [vectorKey.toString("hex"), JSON.stringify(VECTOR_LINKS), JSON.stringify(vectors), VECTOR_ID];
    expect(execFileSync("python3", ["-c", `${program}\n${check}`, ...args]).toString()).toBe("same\n");
  });

  test("a token is valid with any of the keys, so that a key can be replaced, and with no other", () => {
    const token = tokenOf({ can: ["read"] });
    expect(verifyToken([OTHER_KEY, TOKEN_KEY], token)?.id).toBe(readClaim(token)?.id);
    expect(verifyToken([OTHER_KEY], token)).toBeUndefined();
    expect(verifyToken([], token)).toBeUndefined();
  });

  test("a token with any character changed, missing or added is refused", () => {
    const token = tokenOf({ can: ["read"] }, { labels: { a: "b" } });
    const characters = "ABZaz09_-.";
    for (let place = 0; place < token.length; place += 1) {
      for (const character of characters) {
        const changed = token.slice(0, place) + character + token.slice(place + 1);
        if (changed !== token && verifyToken([TOKEN_KEY], changed)) throw new Error(`accepted: ${changed}`);
      }
      if (verifyToken([TOKEN_KEY], token.slice(0, place) + token.slice(place + 1))) throw new Error(`accepted without ${place}`);
    }
    for (const more of ["A", ".", "=", "\n", " "]) expect(verifyToken([TOKEN_KEY], token + more)).toBeUndefined();
  });

  test("links can't be removed, reordered or taken from another token", () => {
    const claim = readClaim(tokenOf({ can: ["read"] }, { can: [] }, { labels: { a: "b" } })) as TokenClaim;
    const signature = tokenOf({ can: ["read"] }, { can: [] }, { labels: { a: "b" } })
      .split(".")
      .at(-1);
    const [a, b, c] = claim.links as [string, string, string];
    for (const links of [[a], [a, b], [a, c], [b, a, c], [a, c, b], [a, b, b, c], []])
      expect(verifyToken([TOKEN_KEY], `ds1_${[claim.id, ...links, signature].join(".")}`)).toBeUndefined();
  });

  test.each<[string, unknown]>([
    ["an unknown caveat", { expires: 1, colour: "red" }],
    ["an unknown permission", { expires: 1, can: ["everything"] }],
    ["a caveat of another type", { expires: "tomorrow" }],
    ["labels without a label", { expires: 1, labels: {} }],
    ["a label of this server", { expires: 1, labels: { "docker-server.run": "x" } }],
    ["a label of Compose", { expires: 1, labels: { "com.docker.compose.project": "x" } }],
    ["an address that is none", { expires: 1, from: ["10.0.0.0/33"] }],
    ["a host path that is not absolute", { expires: 1, host: ["etc"] }],
    ["a list", []],
    ["nothing", null],
  ])("%s makes a token refused, even with a valid signature", (_name, link) => {
    const links = [Buffer.from(JSON.stringify(link)).toString("base64url")];
    const token = signClaim(TOKEN_KEY, { id: VECTOR_ID, links });
    const claim = verifyToken([TOKEN_KEY], token) as TokenClaim;
    expect(() => Access.of(claim)).toThrow(expect.objectContaining({ code: "TOKEN_REFUSED" }));
  });

  test("a token needs an expiry in its first link, and max needs labels before it or beside it", () => {
    const claim = (...links: object[]) => ({
      id: VECTOR_ID,
      links: links.map((link) => Buffer.from(JSON.stringify(link)).toString("base64url")),
    });
    expect(() => Access.of(claim({ can: [] }, { expires: inAnHour() }))).toThrow(expect.objectContaining({ code: "TOKEN_REFUSED" }));
    expect(() => Access.of(claim({ expires: inAnHour(), max: { containers: 1 } }))).toThrow(
      expect.objectContaining({ code: "TOKEN_REFUSED" }),
    );
    expect(() => makeToken(TOKEN_KEY, { can: ["read"] })).toThrow(expect.objectContaining({ code: "INVALID_INPUT" }));
  });

  test.each([
    [{ can: "read" }, 'must be a list in JSON, not in a form, such as ["read"]'],
    [{ can: ["raed"] }, `must be some of ${PERMISSIONS.join(", ")}`],
    [{ labels: ["a=b"] }, 'labels must be a map in JSON, such as {"customer":"a"}'],
    [{ labels: { "a b": "c" } }, "labels.a b must be a label's key"],
    [{ labels: { a: 5 } }, "labels.a must be text"],
    [{ max: "512m" }, 'max must be a map in JSON, such as {"containers":10,"memory":536870912}'],
    [{ max: { memory: "much" } }, "max.memory must be a size, such as 512m or a number of bytes"],
    [{ max: { runs: "3" } }, "max.runs must be a whole number, such as 10"],
    [{ max: { cpus: "2" } }, "max.cpus must be a number, such as 1.5"],
    [{ max: { disk: 5 } }, "max.disk is no quota; known are containers, memory, cpus, runs"],
    [{ expires: true }, "expires must be seconds since 1970, or a time from now such as 30m, 12h or 7d"],
    [{ permissions: ["read"] }, "is no caveat; known are can, labels, images, nodes, host, max, from, expires"],
  ])("the caveats %j are refused with what would be accepted", (caveats, message) => {
    expect(() => readCaveats(caveats)).toThrow(message);
  });

  test.each(["512m", "524288K", 536_870_912])("the memory of max may be %j", (memory) => {
    expect(readRequestedCaveats({ labels: { a: "b" }, max: { memory, runs: 1 } }).max).toEqual({ memory: 536_870_912, runs: 1 });
  });

  test.each([null, [], "text", { max: "512m" }, { max: { memory: "much" } }])("requested caveats %j are refused", (value) => {
    expect(() => readRequestedCaveats(value)).toThrow(expect.objectContaining({ code: "INVALID_INPUT" }));
  });

  test.each([3600, "0s"])("a token that ends at %j is not made", (expires) => {
    const message = "expires is in the past: it is seconds since 1970, or a time from now such as 30m, 12h or 7d";
    expect(() => readRequestedCaveats({ expires })).toThrow(expect.objectContaining({ code: "INVALID_INPUT", message }));
  });

  test("narrowing makes no token that would be refused for its length", () => {
    let token = tokenOf();
    expect(() => {
      for (let count = 0; count < 100; count += 1) token = narrowToken(token, { can: [...PERMISSIONS] });
    }).toThrow(expect.objectContaining({ code: "INVALID_INPUT" }));
    expect(verifyToken([TOKEN_KEY], token)).toBeDefined();
  });

  const nodes = ["n1", "n2", "n3"];
  const images = ["redis", "redis:7", "ghcr.io/acme/app:1", "ghcr.io/acme/app@sha256:aa", "postgres", "cafe"];
  const hostItems = ["privileged", "devices", "driver_opts", "/srv", "/srv/a", "/"];
  const addresses = ["10.0.0.1", "10.1.0.1", "192.168.1.1", "::1", "nonsense"];
  const some = <T extends string>(values: readonly T[]) => fc.subarray([...values]);
  const caveats = fc.record(
    {
      can: some(PERMISSIONS),
      labels: fc.dictionary(fc.constantFrom("a", "b"), fc.constantFrom("1", "2"), { minKeys: 1 }),
      images: some(["redis", "redis:7", "ghcr.io/acme/*", "*", "postgres:15"]),
      nodes: some(nodes),
      host: some(hostItems),
      from: some(["10.0.0.0/16", "10.0.0.1", "0.0.0.0/0", "::/0"]),
      expires: fc.integer({ min: 1, max: 2 ** 33 }),
    },
    { requiredKeys: [] },
  ) as fc.Arbitrary<Caveats>;

  /** Everything that a token is asked about, as a list of what it allows. */
  function allowed(access: Access): Set<string> {
    const may = (decide: () => void) => {
      try {
        decide();
        return true;
      } catch {
        return false;
      }
    };
    const all: [string, boolean][] = [
      ...PERMISSIONS.map((each) => [`can ${each}`, access.can(each)] as [string, boolean]),
      ...nodes.map((each) => [`node ${each}`, access.allowsNode(each)] as [string, boolean]),
      ...images.map((each) => [`image ${each}`, access.allowsImage(each)] as [string, boolean]),
      ...addresses.map((each) => [`from ${each}`, access.allowsAddress(each)] as [string, boolean]),
      ...hostItems.map((each): [string, boolean] =>
        each.startsWith("/")
          ? [`host ${each}`, may(() => access.assertHostPath((folder) => each === folder || each.startsWith(`${folder}/`), "volumes"))]
          : [`host ${each}`, may(() => access.assertHostOption(each, "privileged"))],
      ),
      ["route", access.mayCall({ permission: "read", confined: "handler" })],
      ["wide route", access.mayCall({ permission: "read" })],
    ];
    return new Set(all.flatMap(([name, yes]) => (yes ? [name] : [])));
  }

  test("no sequence of narrowing ever allows more: 10,000 random chains", () => {
    fc.assert(
      fc.property(caveats, fc.array(caveats, { minLength: 1, maxLength: 4 }), (first, links) => {
        let token = makeToken(TOKEN_KEY, { expires: 2 ** 33, ...first });
        let before = allowed(read(token));
        let { labels = {}, expires = 0 } = read(token);
        for (const link of links) {
          token = narrowToken(token, link);
          const claim = verifyToken([TOKEN_KEY], token) as TokenClaim;
          const access = Access.of(claim);
          const after = allowed(access);
          // Labels only become more; where one changes its value, nothing is allowed any more.
          const lost = Object.entries(labels).some(([key, value]) => access.labels?.[key] !== value);
          const wider = [...after].some((each) => !before.has(each));
          if (wider || (access.expires as number) > expires || (lost && after.has("route"))) return false;
          before = after;
          labels = access.labels ?? {};
          expires = access.expires as number;
        }
        return true;
      }),
      { numRuns: 10_000 },
    );
  });

  test("what a later link lists of the host doesn't count unless the first does", () => {
    const listed = read(tokenOf({ can: ["run"] }, { host: ["privileged", "/"] }));
    expect(() => listed.assertHostOption("privileged", "privileged")).toThrow(expect.objectContaining({ code: "REFUSED_BY_TOKEN" }));
    expect(() => listed.assertHostPath(() => true, "volumes")).toThrow(expect.objectContaining({ code: "REFUSED_BY_TOKEN" }));
  });

  test("the signature is HMAC-SHA256 of each link with the signature before it", () => {
    const claim = readClaim(vectors[1] as string) as TokenClaim;
    const start = createHmac("sha256", vectorKey).update(`ds1_${claim.id}`).digest();
    const signature = claim.links.reduce((key, link) => createHmac("sha256", key).update(link).digest(), start);
    expect(vectors[1]?.endsWith(`.${signature.toString("base64url")}`)).toBe(true);
  });
});

describe("the images of a token", () => {
  test.each<[string[], string, boolean]>([
    [["redis"], "redis", true],
    [["redis"], "redis:7", true],
    [["redis"], "docker.io/library/redis:7", true],
    [["redis"], "index.docker.io/library/redis", true],
    [["redis"], "evil/redis", false],
    [["redis"], "evil.example/redis", false],
    [["redis"], "evil.example/library/redis", false],
    [["redis:7"], "redis:7", true],
    [["redis:7"], "redis:8", false],
    [["redis:7"], "redis", false],
    [["redis:latest"], "redis", true],
    [["redis:7"], `redis:7@sha256:${"a".repeat(64)}`, false],
    [["redis:7*"], `redis:7@sha256:${"a".repeat(64)}`, false],
    [["redis"], `redis@sha256:${"a".repeat(64)}`, true],
    [["ghcr.io/acme/*"], "ghcr.io/acme/app:1", true],
    [["ghcr.io/acme/*"], "ghcr.io/acme-evil/app:1", false],
    [["ghcr.io/acme/*"], "ghcr.io/other/app", false],
    [["localhost:5000/*"], "localhost:5000/app", true],
    [["localhost:5000/*"], "localhost:5001/app", false],
    [["acme/*"], "acme/app", true],
    [["acme/*"], "ghcr.io/acme/app", false],
    [["*"], "anything/at:all", true],
    [["cafe"], "cafe", false],
    [["cafe"], "cafe:latest", true],
    [["*"], "cafe", true],
    [["redis"], `sha256:${"a".repeat(64)}`, false],
    [["redis"], "abcdef012345", false],
    [[], "redis", false],
  ])("%j and %s: %s", (patterns, reference, expected) => {
    expect(read(tokenOf({ images: patterns })).allowsImage(reference)).toBe(expected);
  });
});

describe("the addresses of a token", () => {
  test.each<[string[], string, boolean]>([
    [["10.0.0.0/8"], "10.2.3.4", true],
    [["10.0.0.0/8"], "::ffff:10.2.3.4", true],
    [["10.0.0.0/8"], "11.0.0.1", false],
    [["127.0.0.1"], "127.0.0.1", true],
    [["127.0.0.1"], "127.0.0.2", false],
    [["2001:db8::/32"], "2001:db8:1::1", true],
    [["2001:db8::/32"], "2001:db9::1", false],
    [["0.0.0.0/0"], "", false],
    [[], "127.0.0.1", false],
  ])("%j and %s: %s", (from, address, expected) => {
    expect(read(tokenOf({ from })).allowsAddress(address)).toBe(expected);
  });
});
