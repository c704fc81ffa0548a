import { z } from "zod";
import { type Access, refusedBy } from "../../access/access";
import { type Policy, requireAllowed } from "../../docker/create/policy";
import { isImageReference } from "../../docker/images/image-reference";
import { invalidField } from "../../errors";
import { readInput } from "../../http/input";
import type { BodyContext } from "./body-table";
import { CONFIG, IGNORED_CONFIG } from "./container-config";
import { ownLabels } from "./labels";
import { parseQuery } from "./query";
import { parseStrictJson } from "./strict-json";
import { integer, text, textMap, texts } from "./values";

/** Parameters of `POST /containers/create`. dockerode sends the whole body in the query too. */
const CREATE = ["name", "platform", "node"];
const BODY_OF_CREATE = [...Object.keys(CONFIG), ...Object.keys(IGNORED_CONFIG), "HostConfig", "NetworkingConfig"].filter(
  (name) => !CREATE.includes(name),
);

/** Parameters of `POST /build` that the classic builder knows. */
const BUILD = [
  ..."dockerfile q nocache cachefrom pull rm forcerm memory memswap cpushares cpusetcpus cpusetmems cpuperiod cpuquota cgroupparent".split(
    " ",
  ),
  ..."buildargs shmsize squash labels networkmode platform target ulimits remote version isolation node".split(" "),
];
const REPEATED_IN_BUILD = ["t", "extrahosts"];
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
 * Reads the query of `POST /containers/create`: `name`, `platform`, and `node`, which is not the engine's.
 * @throws AppError INVALID_INPUT
 */
export function parseCreateQuery(search: string): URLSearchParams {
  return parseQuery(search, CREATE, { ignored: BODY_OF_CREATE });
}

/**
 * Reads the query of `POST /build` for the classic builder. `node` is not the engine's. The context goes to the engine as
 * `application/x-tar`, never under the client's Content-Type: the engine reads parameters from a form in the body too.
 * @throws AppError INVALID_INPUT, NOT_ALLOWED, REFUSED_BY_TOKEN
 */
export function parseBuildQuery(search: string, { policy: given, access }: BodyContext): URLSearchParams {
  const query = parseQuery(search, BUILD, { repeated: REPEATED_IN_BUILD });
  const policy = { ...given, access };
  const value = (name: string) => query.get(name) ?? "";
  if (!access.allowsEveryImage) throw refusedBy("images", "A Dockerfile can begin from any image");
  if (!["", "1"].includes(value("version")))
    throw invalidField("version", "must be 1: only the classic builder is here (DOCKER_BUILDKIT=0)");
  if (value("remote") !== "") requireAllowed(policy, "host_namespaces", "remote", HOST_FETCHES);
  if (value("cgroupparent") !== "") requireAllowed(policy, "host_namespaces", "cgroupparent");
  checkBuildNetwork(value("networkmode"), policy);
  for (const [name, schema] of Object.entries(JSON_OF_BUILD)) {
    if (value(name) === "") continue;
    const parsed = parseStrictJson(Buffer.from(value(name)));
    if (parsed === null) query.delete(name);
    else query.set(name, JSON.stringify(readInput(z.strictObject({ [name]: schema }), { [name]: parsed })[name]));
  }
  if (query.has("labels")) {
    // The image does not carry the labels of a confined token: no container could be created from it.
    const labels = ownLabels(JSON.parse(value("labels")), access, "labels");
    for (const key of Object.keys(access.labels ?? {})) delete labels[key];
    query.set("labels", JSON.stringify(labels));
  }
  for (const tag of query.getAll("t")) if (!isImageReference(tag)) throw invalidField("t", "must be an image reference");
  return query;
}

function checkBuildNetwork(mode: string, policy: Policy): void {
  if (mode === "host") requireAllowed(policy, "host_namespaces", "networkmode");
  else if (!/^(?:default|bridge|none|[a-zA-Z0-9][\w.-]*)?$/.test(mode)) throw invalidField("networkmode", "must be the name of a network");
}

/**
 * Reads the query of `POST /images/create`: a pull by `fromImage`, else an import of the body.
 * @throws AppError INVALID_INPUT, NOT_ALLOWED, REFUSED_BY_TOKEN
 */
export function parseImageCreateQuery(search: string, { policy, access }: BodyContext): URLSearchParams {
  const query = parseQuery(search, ["fromImage", "fromSrc", "repo", "tag", "message", "platform", "node"], { repeated: ["changes"] });
  const value = (name: string) => query.get(name) ?? "";
  checkChanges(query);
  if (value("fromImage") !== "") {
    if (query.has("fromSrc")) throw invalidField("fromSrc", "must not come with fromImage");
    assertNamedImage(value("fromImage"), value("tag"), access, "fromImage");
  } else {
    if (!["", "-"].includes(value("fromSrc"))) requireAllowed({ ...policy, access }, "host_namespaces", "fromSrc", HOST_FETCHES);
    assertNamedImage(value("repo"), value("tag"), access, "repo");
  }
  return query;
}

/**
 * Reads the query of `POST /commit`.
 * @throws AppError INVALID_INPUT, REFUSED_BY_TOKEN
 */
export function parseCommitQuery(search: string, { access }: BodyContext): URLSearchParams {
  const query = parseQuery(search, ["container", "repo", "tag", "comment", "author", "pause"], { repeated: ["changes"] });
  if (!/^\/?[a-zA-Z0-9][\w.-]{0,254}$/.test(query.get("container") ?? ""))
    throw invalidField("container", "must be the name or id of a container");
  checkChanges(query);
  assertNamedImage(query.get("repo") ?? "", query.get("tag") ?? "", access, "repo");
  return query;
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
