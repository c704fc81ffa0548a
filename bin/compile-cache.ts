// Imported before the packages: from Node 22.1 on, their compiled code is kept beside `dist`: who can write there can replace the program too.
import module from "node:module";
import path from "node:path";

/** What the types of the oldest supported Node lack. */
const { enableCompileCache } = module as { enableCompileCache?(folder: string): unknown };
enableCompileCache?.(path.join(__dirname, "../../.compile-cache"));
