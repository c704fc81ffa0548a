/** One request, valid or not. */
export interface FuzzRequest {
  method: string;
  /** as sent */
  path: string;
  headers: Record<string, string>;
  body?: string;
}

/** Reproducible random numbers: the same seed gives the same numbers (mulberry32). */
export class Dice {
  /** @param seed any whole number */
  constructor(private seed: number) {}

  /** From 0 up to 1. */
  next(): number {
    this.seed = (this.seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.seed ^ (this.seed >>> 15), 1 | this.seed);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  whole(below: number): number {
    return Math.floor(this.next() * below);
  }

  pick<T>(list: readonly T[]): T {
    return list[this.whole(list.length)] as T;
  }
}

// biome-ignore lint/suspicious/noExplicitAny: JSON of any shape
type Json = any;

const TEXTS = [
  "",
  " ",
  "-",
  "--privileged",
  "a b",
  "\0",
  "\n",
  "'",
  '"',
  "$(id)",
  "../..",
  "/",
  "//",
  ":",
  "@",
  "%",
  "漢字",
  "\ud800",
  "null",
  "NaN",
  "x".repeat(5000),
];
const NUMBERS = [0, -1, 1.5, 1e308, -0, 2 ** 53, 65536, 80];
const METHODS = ["GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "LINK", "M-SEARCH"];
const TYPES = [
  "application/json",
  "application/x-www-form-urlencoded",
  "text/plain",
  "application/xml",
  "multipart/form-data; boundary=x",
  "application/json; charset=utf-16",
  "application/json; charset=x",
  "nonsense",
  "",
  "application/vnd.x+json",
];
const ODD_HEADERS: Record<string, string[]> = {
  Accept: ["", "*/*", "text/plain", "image/png", ";;;,,,", "text/*;q=abc"],
  "Content-Encoding": ["gzip", "br", "deflate", "identity", "x"],
  Expect: ["200-ok"],
  Origin: ["null", "http://evil.example", "not an origin", "http://127.0.0.1"],
  Range: ["bytes=0-0", "bytes=-1"],
  "X-Request-Id": ["a b", "x".repeat(500), "ok-1"],
  "X-Forwarded-For": ["1.2.3.4", "::1", "junk, , ,"],
  "X-Access-Token": ["", "wrong"],
  "If-None-Match": ["*"],
  "X-HTTP-Method-Override": ["DELETE"],
  Cookie: ["a=b; __proto__=c"],
};

/** Generates requests from an OpenAPI document: valid, slightly invalid and completely invalid ones. */
export class Fuzzer {
  private readonly operations: { method: string; path: string; parameters: Json[]; body?: Json }[];

  /**
   * @param document the server's OpenAPI document
   * @param ids values for path parameters
   */
  constructor(
    document: Json,
    private readonly dice: Dice,
    private readonly ids: readonly string[],
  ) {
    this.operations = Object.entries<Json>(document.paths).flatMap(([path, item]) =>
      Object.entries<Json>(item).map(([method, operation]) => ({
        method: method.toUpperCase(),
        path,
        parameters: operation.parameters ?? [],
        body: operation.requestBody?.content["application/json"]?.schema,
      })),
    );
  }

  /** The next request. */
  next(): FuzzRequest {
    const { dice } = this;
    const operation = dice.pick(this.operations);
    const method = dice.chance(0.15) ? dice.pick(METHODS) : operation.method;
    const path = dice.chance(0.1) ? this.oddPath() : this.path(operation);
    const headers: Record<string, string> = {};
    for (const [name, values] of Object.entries(ODD_HEADERS)) if (dice.chance(0.03)) headers[name] = dice.pick(values);
    if (operation.body === undefined && !dice.chance(0.1)) return { method, path, headers };
    const type = dice.chance(0.15) ? dice.pick(TYPES) : dice.pick(TYPES.slice(0, 2));
    if (type !== "") headers["Content-Type"] = type;
    return { method, path, headers, body: this.bodyText(operation.body ?? {}, type) };
  }

  private path({ path, parameters }: (typeof this.operations)[number]): string {
    const { dice } = this;
    const filled = path.replace(/\{[^}]+\}/g, () => encode(dice.chance(0.5) ? dice.pick(this.ids) : this.text()));
    const query = parameters
      .filter((parameter) => parameter.in === "query" && dice.chance(0.3))
      .map((parameter) => `${parameter.name}=${encode(dice.chance(0.5) ? this.text() : String(this.value(parameter.schema ?? {})))}`);
    if (dice.chance(0.1)) query.push(`${encode(this.text())}=${encode(this.text())}`);
    return query.length === 0 ? filled : `${filled}?${query.join("&")}`;
  }

  private oddPath(): string {
    const { dice } = this;
    const parts = [
      "/",
      "//",
      "/..",
      "/.",
      "/%",
      "/%00",
      "/%2e%2e",
      "/%ff",
      "/;",
      "/*",
      "/:id",
      "?",
      "?a",
      "?a[b]=c",
      "?__proto__=x",
      "/v1.43",
      "/run",
      "/a/b/c",
      "/containers",
    ];
    return `/${Array.from({ length: 1 + dice.whole(4) }, () => dice.pick(parts)).join("")}`;
  }

  private bodyText(schema: Json, type: string): string {
    const { dice } = this;
    const value = dice.chance(0.1) ? this.junk(2) : this.value(schema);
    const form = type.includes("urlencoded") && value !== null && typeof value === "object";
    const text = form ? toForm(value) : (JSON.stringify(value) ?? "");
    if (!dice.chance(0.15)) return text;
    const position = dice.whole(text.length + 1);
    return dice.chance(0.5)
      ? text.slice(0, position)
      : `${text.slice(0, position)}${dice.pick(['"', "}", "\0", "[[[[", "&&", "%zz", ","])}${text.slice(position)}`;
  }

  /** A value for a schema, with some parts invalid. */
  private value(schema: Json): Json {
    const { dice } = this;
    if (dice.chance(0.06)) return this.junk(2);
    const union = schema.anyOf ?? schema.oneOf;
    if (union) return this.value(dice.pick(union));
    if (schema.enum) return dice.pick(schema.enum);
    if ("const" in schema) return schema.const;
    if ("default" in schema && dice.chance(0.3)) return schema.default;
    switch (schema.type) {
      case "object":
        return this.object(schema);
      case "array":
        return Array.from({ length: dice.whole(3) }, () => this.value(schema.items ?? {}));
      case "boolean":
        return dice.chance(0.5);
      case "integer":
      case "number":
        return dice.pick(NUMBERS);
      default:
        return this.text();
    }
  }

  private object(schema: Json): Json {
    const { dice } = this;
    const result: Record<string, Json> = {};
    const required = new Set<string>(schema.required ?? []);
    for (const [name, field] of Object.entries<Json>(schema.properties ?? {})) {
      if (required.has(name) ? dice.chance(0.9) : dice.chance(0.08)) result[name] = name === "image" ? this.image() : this.value(field);
    }
    if (typeof schema.additionalProperties === "object") {
      for (let count = dice.whole(3); count > 0; count--) result[this.text()] = this.value(schema.additionalProperties);
    } else if (dice.chance(0.05)) result[this.text()] = this.junk(1);
    return result;
  }

  // Few images lead to a request to a registry: it is slow, and other tests cover it.
  private image(): Json {
    const { dice } = this;
    if (dice.chance(0.3)) return "busybox";
    return dice.chance(0.02) ? "127.0.0.1:1/none" : dice.pick([...TEXTS, 5, null, {}]);
  }

  private text(): string {
    const { dice } = this;
    if (dice.chance(0.6)) return dice.pick(TEXTS);
    return Array.from({ length: dice.whole(12) }, () => String.fromCodePoint(32 + dice.whole(dice.chance(0.9) ? 95 : 8000))).join("");
  }

  private junk(depth: number): Json {
    const { dice } = this;
    const kind = dice.whole(depth > 0 ? 7 : 5);
    if (kind === 0) return null;
    if (kind === 1) return dice.chance(0.5);
    if (kind === 2) return dice.pick(NUMBERS);
    if (kind <= 4) return this.text();
    const items = Array.from({ length: dice.whole(4) }, () => this.junk(depth - 1));
    return kind === 5 ? items : Object.fromEntries(items.map((item) => [this.text(), item]));
  }
}

function toForm(value: Json, prefix = ""): string {
  return Object.entries<Json>(value)
    .map(([name, field]) => {
      const key = prefix === "" ? encode(name) : `${prefix}[${encode(name)}]`;
      return field !== null && typeof field === "object" ? toForm(field, key) : `${key}=${encode(String(field))}`;
    })
    .join("&");
}

function encode(text: string): string {
  return encodeURIComponent(Buffer.from(text).toString());
}
