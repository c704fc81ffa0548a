import type { Store } from "../../../../lib/cluster/membership/store/store";
import { until } from "../../../../scripts/process";
import type { FlakyServer } from "../../../support/redis";

/**
 * Tests a store whose server fails.
 * @param server the store's server
 * @param make opens a store on that server
 */
export function survivesItsServer(server: () => FlakyServer, make: () => Store): void {
  let store: Store;
  beforeEach(() => {
    store = make();
  });
  afterEach(async () => {
    server().thaw();
    await store.close();
  });

  /** The outcome of an operation, within 20 s. */
  const outcomeOf = async (use: Promise<unknown>): Promise<"done" | "failed" | "hangs"> => {
    let timer: NodeJS.Timeout | undefined;
    const hangs = new Promise<"hangs">((resolve) => {
      timer = setTimeout(() => resolve("hangs"), 20_000);
    });
    const outcome = await Promise.race([
      use.then(
        () => "done" as const,
        () => "failed" as const,
      ),
      hangs,
    ]);
    clearTimeout(timer);
    return outcome;
  };
  const works = async () => (await outcomeOf(store.publish("a", "again"))) === "done" && (await store.read()).get("a") === "again";

  test("while the server is killed every operation fails; after its restart the store works again", async () => {
    await store.publish("a", "first");
    await server().kill();
    expect(await outcomeOf(store.read())).toBe("failed");
    expect(await outcomeOf(store.publish("a", "second"))).toBe("failed");
    await server().restart();
    expect(await until(works, 20_000)).toBe(true);
  });

  test("a server that starts after the store was opened is used", async () => {
    await server().kill();
    expect(await outcomeOf(store.publish("a", "first"))).toBe("failed");
    expect(await outcomeOf(store.read())).toBe("failed");
    await server().restart();
    expect(await until(works, 20_000)).toBe(true);
  });

  test("while the server is frozen operations fail; when it answers it is used again", async () => {
    await store.publish("a", "first");
    server().freeze();
    expect(await outcomeOf(store.read())).toBe("failed");
    expect(await outcomeOf(store.publish("a", "second"))).toBe("failed");
    server().thaw();
    expect(await until(works, 20_000)).toBe(true);
  });
}
