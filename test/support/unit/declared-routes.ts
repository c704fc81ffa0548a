import type { Route } from "../../../lib/http/route";
import { filesIn } from "./sources";

/** Stands for everything that a route's module is given: no handler is called, so nothing of it is used. */
const stub: unknown = new Proxy(() => undefined, {
  get: (_target, name) => (name === Symbol.toPrimitive ? () => "1000:1000" : stub),
  apply: () => stub,
});

/** All routes as they are declared in lib/routes, without what the reverse proxy takes. */
export function declaredRoutes(): Route[] {
  const modules = filesIn("lib/routes").filter((file) => /^lib\/routes\/[\w-]+\.ts$/.test(file));
  return modules.flatMap((file) => {
    const exported = Object.entries(require(`../../../${file}`) as Record<string, unknown>);
    const makers = exported.filter(([name, value]) => name.endsWith("Routes") && typeof value === "function");
    return makers.flatMap(([, make]) => (make as (...parts: unknown[]) => Route[])(...Array(10).fill(stub)));
  });
}
