import { z } from "zod";
import { fullImageName } from "../../access/image-patterns";
import { type ContainerSummary, MANAGED_LABEL } from "../../docker/containers/container-list";
import { CUID_LABEL } from "../../docker/containers/replaced-name";
import { flag, integer, list, matching, text } from "../../http/fields";
import { readManagedSpec } from "../../managed/managed-spec";
import { imageReference } from "./common";
import { type ContainerView, toContainerView } from "./container-view";

const STATES = ["created", "running", "paused", "restarting", "removing", "exited", "dead"];

/** Decodes a cursor: the sort key of a page's last container. */
const cursor = text.transform((given, context) => {
  const place = Buffer.from(given, "base64url").toString();
  if (/^\d{4}-[\d:.TZ-]+ [0-9a-f]{64}$/.test(place)) return place;
  context.addIssue({ code: "custom", message: "must be a next_cursor that was answered" });
  return z.NEVER;
});

/** The query of `GET /containers`. */
export const pageQuery = z.object({
  all: flag.default(false).describe("All containers, not only the managed ones"),
  status: text
    .transform((value) => value.split(",").map((each) => each.trim()))
    .refine((states) => states.every((each) => STATES.includes(each)), { error: `must be some of ${STATES.join(", ")}` })
    .optional()
    .describe("One or several, with commas: running,paused"),
  label: list(matching(/^[^\0\s=]+(?:=[^\0]*)?$/, "must be a label, or label=value"))
    .optional()
    .describe("A label, or label=value; all of several"),
  tags: text
    .transform((value) => value.split(",").map((each) => each.trim()))
    .optional()
    .describe("Tags with commas: those that have all of them"),
  name: text.optional().describe("Part of the name"),
  image: imageReference.optional(),
  limit: integer(1, 1000).default(100).describe("Containers of one page"),
  cursor: cursor.optional().describe("The next_cursor of the page before"),
});

type PageQuery = z.output<typeof pageQuery>;

export interface ContainerPage {
  containers: ContainerView[];
  next_cursor: string | null;
  /** how many containers `all` would list; on an empty page, if there are any */
  not_managed?: number;
}

// Neither part ever changes, so containers created or removed between two pages don't move the others.
const sortKey = ({ created, id }: { created: string; id: string }) => `${created} ${id}`;
const newestFirst = (a: ContainerView, b: ContainerView) => (sortKey(a) < sortKey(b) ? 1 : -1);

/** One page of this host's containers, newest first. */
export function toPage(containers: ContainerSummary[], query: PageQuery): ContainerPage {
  const found = containers.filter((each) => matchesQuery(each, query)).map(toContainerView);
  const notManaged = found.length > 0 ? 0 : containers.filter((each) => matchesQuery(each, { ...query, all: true })).length;
  return firstPage(found, query, false, notManaged);
}

/** Merges the pages of several nodes into one. */
export function mergePages(pages: object[], query: object): ContainerPage {
  const nodePages = pages as ContainerPage[];
  const hasMore = nodePages.some(({ next_cursor }) => next_cursor !== null);
  return firstPage(
    nodePages.flatMap(({ containers }) => containers),
    query as PageQuery,
    hasMore,
    nodePages.reduce((sum, { not_managed = 0 }) => sum + not_managed, 0),
  );
}

/**
 * @param hasMore whether containers exist beyond the given ones
 * @param notManaged how many containers only `all` lists
 */
function firstPage(containers: ContainerView[], { limit }: PageQuery, hasMore: boolean, notManaged: number): ContainerPage {
  const page = containers.sort(newestFirst).slice(0, limit);
  const last = page.at(-1);
  const more = last !== undefined && (hasMore || containers.length > limit);
  return {
    containers: page,
    next_cursor: more ? Buffer.from(sortKey(last)).toString("base64url") : null,
    ...(page.length === 0 && notManaged > 0 ? { not_managed: notManaged } : {}),
  };
}

function matchesQuery(container: ContainerSummary, { all, status, label = [], tags, name, image, cursor: after }: PageQuery): boolean {
  const { labels } = container;
  const hasLabel = (wanted: string) => {
    const [key = "", ...value] = wanted.split("=");
    return Object.hasOwn(labels, key) && (value.length === 0 || labels[key] === value.join("="));
  };
  return (
    (all || isListed(container)) &&
    (tags === undefined || tags.every((tag) => readManagedSpec(container)?.tags.includes(tag))) &&
    (status === undefined || status.includes(container.state)) &&
    label.every(hasLabel) &&
    (name === undefined || container.name.includes(name) || readManagedSpec(container)?.name?.includes(name) === true) &&
    (image === undefined || container.image === image || fullImageName(container.image) === fullImageName(image)) &&
    (after === undefined || sortKey(container) < after)
  );
}

/** Whether a container is managed. Unfinished replacements are not listed: the container they replace still is. */
function isListed({ name, labels }: ContainerSummary): boolean {
  return labels[MANAGED_LABEL] === "true" && (labels[CUID_LABEL] ?? name) === name;
}
