import type { Route } from "../../../lib/http/route";
import { filesIn } from "./sources";

/** Stands for every dependency of a route module: no handler is called, so none is used. */
const stub: unknown = new Proxy(() => undefined, {
  get: (_target, name) => (name === Symbol.toPrimitive ? () => "1000:1000" : stub),
  apply: () => stub,
});

/** All routes that lib/routes declares, without those of the reverse proxy. */
export function declaredRoutes(): Route[] {
  const modules = filesIn("lib/routes").filter((file) => /^lib\/routes\/[\w-]+\.ts$/.test(file));
  return modules.flatMap((file) => {
    const exported = Object.entries(require(`../../../${file}`) as Record<string, unknown>);
    const makers = exported.filter(([name, value]) => name.endsWith("Routes") && typeof value === "function");
    return makers.flatMap(([, make]) => (make as (...parts: unknown[]) => Route[])(...Array(10).fill(stub)));
  });
}
