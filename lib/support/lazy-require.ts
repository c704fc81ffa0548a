/**
 * Loads a module at its first use: the start of this program, and its memory, don't pay for features that are off.
 * @param load such as `() => require("yazl")`; `require` must stand in the caller's file, where bundlers and relative paths find it
 */
export function lazyRequire<T>(load: () => T): () => T {
  let loaded: { module: T } | undefined;
  return () => {
    loaded ??= { module: load() };
    return loaded.module;
  };
}
