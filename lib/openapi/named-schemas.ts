type Json = Record<string, unknown>;

/** The schemas of the document that have a name, each once. */
export class NamedSchemas {
  private readonly named = new Map<string, Json>();

  /** @returns the schemas by name */
  get all(): Json {
    return Object.fromEntries([...this.named].sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  /**
   * Moves a schema to the named ones, and all within it that have a title of their own.
   * @param name for a schema without a title
   * @returns a reference to it
   * @throws Error if another schema has the name
   */
  add(name: string, schema: Json): Json {
    const { title = name, ...rest } = schema;
    const key = String(title);
    const value = this.hoistProperties(rest);
    const known = this.named.get(key);
    if (known && JSON.stringify(known) !== JSON.stringify(value)) throw new Error(`two schemas have the name ${key}`);
    this.named.set(key, value);
    return { $ref: `#/components/schemas/${key}` };
  }

  private hoistProperties(schema: Json): Json {
    return Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, this.hoist(value)]));
  }

  private hoist(value: unknown): unknown {
    if (Array.isArray(value)) return value.map((item) => this.hoist(item));
    if (typeof value !== "object" || value === null) return value;
    const schema = value as Json;
    return typeof schema.title === "string" && schema.type !== undefined ? this.add(schema.title, schema) : this.hoistProperties(schema);
  }
}
