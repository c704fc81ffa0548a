/** A text that the engine also reads as an image's id or its beginning. */
const IMAGE_ID = /^(?:sha256:)?[0-9a-f]{1,64}$/;

interface Reference {
  repository: string;
  tag: string | undefined;
  digest: string | undefined;
}

/**
 * Whether one of the patterns of an `images` caveat matches a reference. A pattern without a tag matches every tag and digest of its
 * repository, one with a tag only that; `*` at the end stands for any rest. An image's id matches only `*`, since it may be that of any image.
 * @param reference a valid image reference
 */
export function matchesImage(patterns: readonly string[], reference: string): boolean {
  if (patterns.includes("*")) return true;
  if (IMAGE_ID.test(reference)) return false;
  const { repository, tag, digest } = splitReference(reference);
  return patterns.some((pattern) => {
    if (pattern.endsWith("*")) {
      const start = withRegistry(pattern.slice(0, -1));
      // A digest decides what runs, whatever the tag beside it says.
      return (digest === undefined || !/:[^/]*$/.test(start)) && `${repository}:${tag ?? "latest"}`.startsWith(start);
    }
    const wanted = splitReference(pattern);
    if (wanted.repository !== repository) return false;
    if (wanted.digest !== undefined) return wanted.digest === digest;
    return wanted.tag === undefined || (digest === undefined && wanted.tag === (tag ?? "latest"));
  });
}

/** The parts of an image reference as they are written: nothing is completed. */
export function imageParts(reference: string): Reference {
  const [name = "", digest] = reference.split("@");
  const [, repository = name, tag] = /^(.*?)(?::([^:/]+))?$/.exec(name) ?? [];
  return { repository, tag, digest };
}

/** With its registry, to be compared. */
function splitReference(reference: string): Reference {
  const parts = imageParts(reference);
  return { ...parts, repository: withRegistry(parts.repository) };
}

/** A reference with its registry and its tag, as Podman names images; two references of one name have the same. */
export function fullImageName(reference: string): string {
  const { repository, tag, digest } = splitReference(reference);
  return digest === undefined ? `${repository}:${tag ?? "latest"}` : `${repository}${tag === undefined ? "" : `:${tag}`}@${digest}`;
}

/** As Docker completes it: the first part is a registry if it has a dot or a port, or is localhost. */
function withRegistry(repository: string): string {
  const [first = "", ...rest] = repository.split("/");
  const hasRegistry = rest.length > 0 && (/[.:]/.test(first) || first === "localhost");
  if (!hasRegistry) return rest.length > 0 ? `docker.io/${repository}` : `docker.io/library/${repository}`;
  const dockerHub = first === "index.docker.io" ? "docker.io" : first;
  return dockerHub === "docker.io" && rest.length === 1 ? `docker.io/library/${rest[0]}` : [dockerHub, ...rest].join("/");
}
