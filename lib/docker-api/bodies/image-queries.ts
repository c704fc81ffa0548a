import { z } from "zod";
import { type Access, refusedBy } from "../../access/access";
import { type Policy, requireAllowed } from "../../docker/create/policy";
import { isImageReference } from "../../docker/images/image-reference";
import { invalidField } from "../../errors";
import { readInput } from "../../http/input";
import type { BodyContext } from "./body-table";
import { CONFIG, IGNORED_CONFIG } from "./container-config";
import { ownLabels } from "./labels";
import { parseStrictJson } from "./strict-json";
import { integer, text, textMap, texts } from "./values";

/** Fields of the body of `POST /containers/create` that dockerode sends in the query too, where engines ignore them. */
export const IGNORED_IN_CREATE_QUERY = [...Object.keys(CONFIG), ...Object.keys(IGNORED_CONFIG), "HostConfig", "NetworkingConfig"].filter(
  (name) => !["name", "platform", "node"].includes(name),
);

/** Parameters that hold JSON. */
const JSON_OF_BUILD = {
  buildargs: z.record(text, text.nullable()),
  labels: textMap,
  cachefrom: texts,
  ulimits: z.array(z.strictObject({ Name: text, Soft: integer, Hard: integer })),
};

/** Instructions of a Dockerfile that change nothing but the configuration of an image. */
const CHANGE = /^\s*(?:cmd|entrypoint|env|expose|healthcheck|label|onbuild|stopsignal|user|volume|workdir)\s[^\r\n]*$/i;

const HOST_FETCHES = "the engine would fetch it over the network of the host; send the content instead";

/**
 * Judges the query of `POST /build` for the classic builder. The context must go to the engine as `application/x-tar`, never under the
 * client's Content-Type: the engine reads parameters from a form in the body too.
 * @param query as `parseQuery` read it
 * @returns the query to send
 * @throws AppError INVALID_INPUT, NOT_ALLOWED, REFUSED_BY_TOKEN
 */
export function judgeBuildQuery(query: URLSearchParams, { policy: given, access }: BodyContext): URLSearchParams {
  const policy = { ...given, access };
  const checked = new URLSearchParams(query);
  const value = (name: string) => query.get(name) ?? "";
  if (!access.allowsEveryImage) throw refusedBy("images", "A Dockerfile can begin from any image");
  if (!["", "1"].includes(value("version")))
    throw invalidField("version", "must be 1: only the classic builder is here (DOCKER_BUILDKIT=0)");
  if (value("remote") !== "") requireAllowed(policy, "host_namespaces", "remote", HOST_FETCHES);
  if (value("cgroupparent") !== "") requireAllowed(policy, "host_namespaces", "cgroupparent");
  if (!["", "null", "[]"].includes(value("securityopt"))) requireAllowed(policy, "privileged", "securityopt");
  checkBuildNetwork(value("networkmode"), policy);
  for (const [name, schema] of Object.entries(JSON_OF_BUILD)) {
    if (value(name) === "") continue;
    const parsed = parseStrictJson(Buffer.from(value(name)));
    if (parsed === null) checked.delete(name);
    else checked.set(name, JSON.stringify(readInput(z.strictObject({ [name]: schema }), { [name]: parsed })[name]));
  }
  if (checked.has("labels")) {
    // The image does not carry the labels of a confined token: no container could be created from it.
    const labels = ownLabels(JSON.parse(checked.get("labels") as string), access, "labels");
    for (const key of Object.keys(access.labels ?? {})) delete labels[key];
    checked.set("labels", JSON.stringify(labels));
  }
  for (const tag of query.getAll("t")) if (!isImageReference(tag)) throw invalidField("t", "must be an image reference");
  return checked;
}

function checkBuildNetwork(mode: string, policy: Policy): void {
  if (mode === "host") requireAllowed(policy, "host_namespaces", "networkmode");
  else if (!/^(?:default|bridge|none|[a-zA-Z0-9][\w.-]*)?$/.test(mode)) throw invalidField("networkmode", "must be the name of a network");
}

/**
 * Judges the query of `POST /images/create`: a pull by `fromImage`, else an import of the body, which must not be sent under a form's
 * Content-Type either.
 * @throws AppError INVALID_INPUT, NOT_ALLOWED, REFUSED_BY_TOKEN
 */
export function judgeImageCreateQuery(query: URLSearchParams, { policy, access }: BodyContext): void {
  const value = (name: string) => query.get(name) ?? "";
  checkChanges(query);
  if (value("fromImage") !== "") {
    if (query.has("fromSrc")) throw invalidField("fromSrc", "must not come with fromImage");
    assertNamedImage(value("fromImage"), value("tag"), access, "fromImage");
  } else {
    if (!["", "-"].includes(value("fromSrc"))) requireAllowed({ ...policy, access }, "host_namespaces", "fromSrc", HOST_FETCHES);
    assertNamedImage(value("repo"), value("tag"), access, "repo");
  }
}

/**
 * Judges the query of `POST /commit`.
 * @throws AppError INVALID_INPUT, REFUSED_BY_TOKEN
 */
export function judgeCommitQuery(query: URLSearchParams, { access }: BodyContext): void {
  checkChanges(query);
  assertNamedImage(query.get("repo") ?? "", query.get("tag") ?? "", access, "repo");
}

/**
 * Refuses an image that a token doesn't permit. Without a tag a pull gets all tags.
 * @throws AppError INVALID_INPUT, REFUSED_BY_TOKEN
 */
function assertNamedImage(name: string, tag: string, access: Access, field: string): void {
  if (name === "") {
    if (!access.allowsEveryImage) throw refusedBy("images", `${field} names no image`);
    return;
  }
  const reference = tag === "" ? name : `${name}${tag.includes(":") ? "@" : ":"}${tag}`;
  if (!isImageReference(reference)) throw invalidField(field, "must be an image reference");
  if (access.allowsEveryImage) return;
  const last = reference.slice(reference.lastIndexOf("/") + 1);
  if (!/[:@]/.test(last)) throw refusedBy("images", `${field} must have a tag, or all tags are meant`);
  access.assertImage(reference);
}

/** Labels in `changes` don't count: those of an image never do. */
function checkChanges(query: URLSearchParams): void {
  const other = query.getAll("changes").find((each) => each.trim() !== "" && !CHANGE.test(each));
  if (other !== undefined) throw invalidField("changes", "must be one instruction of a Dockerfile each, such as ENV a=b");
}
