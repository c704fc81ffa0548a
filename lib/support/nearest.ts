import { distance } from "fastest-levenshtein";

/** The shortest beginning of a name that is taken for the name: `env` for `environment`. */
const MIN_PREFIX_LENGTH = 3;

/** How many letters of a word may be wrong. */
const toleratedTypos = (word: string) => (word.length < 5 ? 1 : Math.ceil(word.length / 3));

/**
 * The name that was probably meant.
 * @returns undefined if none is similar
 */
export function nearestName(given: string, names: readonly string[]): string | undefined {
  const word = given.toLowerCase();
  const scored = names.map((name) => ({ name, typos: distance(word, name) }));
  const [best] = scored.sort((a, b) => a.typos - b.typos);
  if (best && best.typos <= toleratedTypos(word)) return best.name;
  return names.find((name) => {
    const [shorter, longer] = name.length < word.length ? [name, word] : [word, name];
    return shorter.length >= MIN_PREFIX_LENGTH && longer.startsWith(shorter);
  });
}

interface Place {
  method: string;
  /** in the syntax of Express */
  path: string;
}

/** Words of other programs, by the word that the routes have for it. */
const FOREIGN_WORDS = new Map([
  ["resume", "unpause"],
  ["kill", "stop"],
  ["swagger", "docs"],
  ["swagger.json", "openapi.json"],
  ["api-docs", "openapi.json"],
  ["sse", "mcp"],
  ["status", "health"],
  ["healthcheck", "health"],
  ["ready", "health"],
  ["readyz", "health"],
  ["livez", "health"],
  ["ping", "health"],
  ["prometheus", "metrics"],
  ["api", "docs"],
  ["list", "containers"],
  ["ps", "containers"],
  ["info", "version"],
  ["stats", "metrics"],
  ["help", "docs"],
]);
/** Last words that other programs have behind the path of what they create, or of a stream. */
const SUPERFLUOUS_WORDS = new Set(["create", "new", "add", "sse"]);

/** Last words of paths for what a PATCH of the rest changes. */
const PATCHED_WORDS = new Set(["drain", "cordon", "uncordon", "accept", "env", "resources", "volumes", "rename"]);

/** What only the Docker API removes when unused. */
const PRUNED_BY_DOCKER = new Set(["containers", "networks", "volumes"]);
/** Paths that only the Docker API has, and that clients of it ask for without a version. */
const METHODS_OF_DOCKER = new Map([
  ["/containers/json", "GET"],
  ["/images/json", "GET"],
  ["/images/create", "POST"],
  ["/events", "GET"],
  ["/networks", "GET"],
  ["/system/df", "GET"],
  ["/build", "POST"],
]);

/** @returns the route of the Docker API that was probably meant: its paths have a version here */
export function nearestDockerRoute({ method, path }: Place): string | undefined {
  const words = path.split("/").slice(1);
  const [first = "", second] = words;
  if (METHODS_OF_DOCKER.get(path) === method) return `${method} /v1.41${path}`;
  const plural = first.endsWith("s") ? first : `${first}s`;
  return words.length === 2 && second === "prune" && PRUNED_BY_DOCKER.has(plural) ? `POST /v1.41/${plural}/prune` : undefined;
}

/**
 * The request that was probably meant by one that no route takes.
 * @param asked its method, in capitals, and its path
 * @returns such as `GET /containers/web` for `GET /container/web`; undefined if no route is similar
 */
export function nearestRoute({ method, path }: Place, routes: readonly Place[]): string | undefined {
  const words = path.split("/").slice(1);
  const [first = "", second = ""] = words;
  const last = words.at(-1) ?? "";
  const ofDocker = nearestDockerRoute({ method, path });
  if (ofDocker !== undefined) return ofDocker;
  const sameMethod = routes.filter((route) => route.method.toUpperCase() === method);
  const fixed = routes.filter((route) => !/[:*]/.test(route.path));
  const isResource = routes.some((route) => route.path.split("/")[1] === first);
  const foreign = FOREIGN_WORDS.get(last);
  const unlikely = [
    ...(foreign === undefined ? [] : scoresOf([...words.slice(0, -1), foreign], routes)),
    ...(PATCHED_WORDS.has(last)
      ? scoresOf(
          words.slice(0, -1),
          routes.filter((route) => route.method === "patch"),
        )
      : []),
    // `/containers/web/files/index.html` is a file, which `?path=` names.
    ...(first === "containers" && words[2] === "files" ? scoresOf([first, second, "download"], routes) : []),
    ...(SUPERFLUOUS_WORDS.has(last) ? scoresOf(words.slice(0, -1), routes) : []),
    // `/system/prune` is tried by those who look for `/images/prune`.
    ...(isResource ? [] : withoutTypos(fixed.filter((route) => last !== "" && route.path.endsWith(`/${last}`)))),
  ].map((route) => ({ ...route, typos: route.typos + 1 }));
  const scored = [
    ...scoresOf(words, routes),
    // `/web` alone is a container, so `/web/logs` is tried by those who look for its logs, and `/logs/web`.
    ...(words.length > 1 && first !== "containers" ? scoresOf(["containers", ...words], sameMethod) : []),
    // `/containers/stop` is tried by those who name the container in the body.
    ...withoutTypos(
      routes.filter((route) => words.length > 1 && route.path.startsWith(`/${first}/`) && withoutParameters(route.path) === path),
    ),
    ...(words.length === 2 && first !== "containers" ? scoresOf(["containers", second, first], sameMethod) : []),
    // `/logs` is tried by those who look for `/logs/search`, `/openapi` for `/openapi.json`, and `/prune` for `/images/prune`.
    ...withoutTypos(fixed.filter((route) => /^[/.]/.test(route.path.slice(path.length)) && route.path.startsWith(path))),
    ...withoutTypos(fixed.filter((route) => route.path.endsWith(path))),
    ...unlikely,
  ].map((route) => ({ ...route, method: route.method.toUpperCase() }));
  const otherMethod = (route: Place) => (route.method === method ? 0 : 1);
  const [best] = scored.sort((a, b) => a.typos - b.typos || otherMethod(a) - otherMethod(b));
  return best && `${best.method} ${best.path}`;
}

const withoutTypos = (routes: readonly Place[]) => routes.map(({ method, path }) => ({ method, path, typos: 0 }));

/** The routes of the same shape whose fixed words are similar, with the words of the request for their parameters. */
function scoresOf(words: readonly string[], routes: readonly Place[]): (Place & { typos: number })[] {
  return routes.flatMap(({ method, path }) => {
    const segments = path.split("/").slice(1);
    const typos = countTypos(words, segments);
    return typos === undefined ? [] : [{ method, path: fillIn(words, segments), typos }];
  });
}

const withoutParameters = (path: string) => path.replace(/\/[:*][^/]*/g, "");

const isParameter = (segment: string) => /^[:*]/.test(segment);

/** @returns undefined for a route of another shape, or one whose fixed words are not similar */
function countTypos(words: readonly string[], segments: readonly string[]): number | undefined {
  if (words.length !== segments.length || segments.every(isParameter)) return undefined;
  const typos = segments.map((segment, index) => {
    const word = words[index] ?? "";
    if (isParameter(segment)) return word === "" ? undefined : 0;
    const count = distance(word.toLowerCase(), segment);
    return count <= toleratedTypos(segment) ? count : undefined;
  });
  return typos.includes(undefined) ? undefined : typos.reduce<number>((sum, each) => sum + (each ?? 0), 0);
}

const fillIn = (words: readonly string[], segments: readonly string[]) =>
  segments.map((segment, index) => `/${isParameter(segment) ? words[index] : segment}`).join("");
