import { type BodyContext, bodyReader, dropped, type Fields, type ValueOf } from "./body-table";
import { CONFIG, IGNORED_CONFIG } from "./container-config";
import { ownLabels } from "./labels";

/** dockerode sends the query in the body too. */
const IGNORED = Object.fromEntries("container repo tag comment author pause changes".split(" ").map((name) => [name, dropped()]));

const COMMIT = { ...CONFIG, ...IGNORED_CONFIG, ...IGNORED } satisfies Fields;
const readCommit = bodyReader(COMMIT);

export type CommitBody = ValueOf<typeof COMMIT>;

/**
 * Reads the body of `POST /commit`, which may be absent or null. The image of a confined token does not carry the labels of its container:
 * no container could be created from it (`assertImageLabels`).
 * @throws AppError INVALID_BODY, INVALID_INPUT, NOT_ALLOWED, REFUSED_BY_TOKEN
 */
export function parseCommitBody(raw: Buffer | undefined, context: BodyContext): CommitBody {
  const isEmpty = raw === undefined || raw.length === 0 || raw.toString("latin1").trim() === "null";
  const body = isEmpty ? {} : readCommit(raw, context);
  const { labels } = context.access;
  if (!body.Labels && !labels) return body;
  const cleared = Object.fromEntries(Object.keys(labels ?? {}).map((key) => [key, ""]));
  return { ...body, Labels: { ...ownLabels(body.Labels, context.access, "Labels"), ...cleared } };
}
