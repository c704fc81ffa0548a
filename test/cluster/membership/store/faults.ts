import type { Store } from "../../../../lib/cluster/membership/store/store";
import { until } from "../../../../scripts/process";
import type { FlakyServer } from "../../../support/redis";

/**
 * What a store does whose server fails.
 * @param server that is behind it
 * @param make a store of it
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

  /** The outcome of a use; never without one. */
  const settles = async (use: Promise<unknown>): Promise<"done" | "failed" | "hangs"> => {
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
  const works = async () => (await settles(store.publish("a", "again"))) === "done" && (await store.read()).get("a") === "again";

  test("a server that is killed makes every use fail, and the store works again by itself when it is back", async () => {
    await store.publish("a", "first");
    await server().kill();
    expect(await settles(store.read())).toBe("failed");
    expect(await settles(store.publish("a", "second"))).toBe("failed");
    await server().restart();
    expect(await until(works, 20_000)).toBe(true);
  });

  test("a server that isn't there yet when the store is made is used when it is", async () => {
    await server().kill();
    expect(await settles(store.publish("a", "first"))).toBe("failed");
    expect(await settles(store.read())).toBe("failed");
    await server().restart();
    expect(await until(works, 20_000)).toBe(true);
  });

  test("a server that holds the connection and doesn't answer makes a use fail, and is used again when it answers", async () => {
    await store.publish("a", "first");
    server().freeze();
    expect(await settles(store.read())).toBe("failed");
    expect(await settles(store.publish("a", "second"))).toBe("failed");
    server().thaw();
    expect(await until(works, 20_000)).toBe(true);
  });
}
