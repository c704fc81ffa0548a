/** Where nodes tell each other that they are there. Texts are opaque to it. */
export interface Store {
  /**
   * Puts a node's text in place of its last one, whole or not at all.
   * @param key letters, digits, dashes and underscores
   */
  publish(key: string, text: string): Promise<void>;
  /** All texts by key; what could not be read of them, being torn or gone meanwhile, is left out. */
  read(): Promise<Map<string, string>>;
  withdraw(key: string): Promise<void>;
  close(): Promise<void>;
}
