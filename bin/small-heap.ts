// Imported before the packages: what they leave behind at the start would make the heap's young part 16 MB, which is never given back.
import { setFlagsFromString } from "node:v8";

setFlagsFromString("--semi-space-growth-factor=1");
