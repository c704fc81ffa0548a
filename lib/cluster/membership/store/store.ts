/** Where nodes publish their records, which are opaque texts here. */
export interface Store {
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
