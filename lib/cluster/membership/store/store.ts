/** Where nodes publish their records, which are opaque texts here. */
export interface Store {
  /**
   * Checks the settings without asking the store, which may be unavailable.
   * @throws Error if they can never work
   */
  assertUsable?(): Promise<void>;
  /**
   * Replaces a node's text atomically.
   * @param key letters, digits, dashes and underscores
   */
  publish(key: string, text: string): Promise<void>;
  /** All texts by key, without those that can't be read or were withdrawn meanwhile. */
  read(): Promise<Map<string, string>>;
  withdraw(key: string): Promise<void>;
  close(): Promise<void>;
}

/** A store that takes longer to answer counts as down. */
const STORE_TIMEOUT_MS = 5000;

/** @throws Error if a store's operation is not done in time */
export function withStoreTimeout<T>(promise: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no answer in ${STORE_TIMEOUT_MS} ms`)), STORE_TIMEOUT_MS);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
