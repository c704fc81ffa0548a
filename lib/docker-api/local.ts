import { LRUCache } from "lru-cache";
import { type Access, refusedBy } from "../access/access";
import { hasLabels } from "../docker/containers/confinement";
import { RUN_CONTAINER_PREFIX, requireAllowed } from "../docker/create/policy";
import { isRunContainer, runContainerError } from "../docker/create/policy-guard";
import type { DockerHost } from "../docker/docker-host";
import type { ContainerInspectInfo } from "../docker/engine";
import type { RawAnswer } from "../docker/raw-engine";
import { AppError, invalidField } from "../errors";
import type { BodyContext } from "./bodies/body-table";
import { parseCommitBody } from "./bodies/commit-body";
import { parseExecCreateBody, parseExecStartBody } from "./bodies/exec-bodies";
import { judgeBuildQuery, judgeCommitQuery, judgeImageCreateQuery } from "./bodies/image-queries";
import { parseNetworkConnectBody } from "./bodies/network-bodies";
import { parseUpdateBody } from "./bodies/update-body";
import { ContainerLists, withoutLimit } from "./container-lists";
import { engineError } from "./errors";
import { type Json, limitOf } from "./merges";
import { parseFilters } from "./missing-lists";
import { isHidden, type MatchedRow, type Row, segmentsOf } from "./row";
import { NO_BUILDKIT } from "./rows";
import { formatTarget } from "./target";

/** The NN of the first API version 1.NN whose prune of volumes spares those with names. */
const SPARING_VERSION = 42;

const MAX_JUDGED_EXECS = 10_000;

/** What of a request decides how this node's engine is asked. */
export interface LocalRequest extends MatchedRow {
  version: number | undefined;
  query: URLSearchParams;
  access: Access;
  headers?: Record<string, string> | undefined;
}

/** What is sent to the engine in place of what the client sent. */
export interface Admitted {
  id: string | undefined;
  query: URLSearchParams;
  body?: Buffer;
}

/** Decides, and asks, on the node whose engine carries a request out. */
export class LocalEngine {
  /** Execs that clients with every right have created here: entering their container was judged then, and ids are never used twice. */
  private readonly judgedExecs = new LRUCache<string, true>({ maxSize: MAX_JUDGED_EXECS, sizeCalculation: () => 1 });

  private readonly lists: ContainerLists;

  constructor(
    private readonly docker: DockerHost,
    private readonly nodeName: string,
  ) {
    this.lists = new ContainerLists(docker.containers, (query, version) => this.ask("GET", ["containers", "json"], query, version));
  }

  bodyContext(access: Access): BodyContext {
    return { policy: this.docker.policy, access };
  }

  /**
   * Decides whether the client may do this to the object, and judges the body.
   * @param raw of a row whose body is judged
   * @returns the id to use in the path, the query and the body to send
   * @throws AppError NOT_ALLOWED, REFUSED_BY_TOKEN, INVALID_BODY, INVALID_INPUT, CONTAINER_NOT_FOUND, VOLUME_NOT_FOUND
   */
  async admit({ row, id, query: given, access, version }: LocalRequest, raw: Buffer | undefined): Promise<Admitted> {
    access.assertRoute(row);
    access.assertNode(this.nodeName);
    const query = await this.judgedQuery(row, given, access, version);
    assertImages(row, id, query, access);
    const isVolume = row.path.startsWith("/volumes/:id");
    if (isVolume && row.method === "DELETE" && id?.startsWith(RUN_CONTAINER_PREFIX))
      throw new AppError("NOT_ALLOWED", { message: `The volume ${id} belongs to a run`, details: { field: "name" } });
    if (isVolume && access.labels) await this.docker.confinement.assertVolume(id ?? "", access.labels);
    const own = await this.admitObject(row, id, access);
    if (row.check === "link" && !/^(?:1|true)$/i.test(query.get("link") ?? ""))
      throw invalidField("link", "must be true where the path names a link");
    if (row.check === "rename") await this.assertRenamable(own ?? "", query);
    if (row.judge === undefined) return { id: own, query };
    return { id: own, query, body: Buffer.from(JSON.stringify(judged(row.judge, raw, this.bodyContext(access)))) };
  }

  /** The query as it is sent on. */
  private async judgedQuery({ path }: Row, query: URLSearchParams, access: Access, version: number | undefined): Promise<URLSearchParams> {
    const context = this.bodyContext(access);
    if (path === "/images/create") judgeImageCreateQuery(query, context);
    if (path === "/commit") judgeCommitQuery(query, context);
    if (path === "/volumes/prune") return this.volumePruneQuery(query, version);
    if (path !== "/build") return query;
    if (query.get("version") === "2") throw engineError(501, NO_BUILDKIT);
    return judgeBuildQuery(query, context);
  }

  /**
   * From API 1.42 on a prune of volumes spares those with names unless the filter `all` is true
   * (https://docs.docker.com/reference/api/engine/version-history/#v142-api-changes). Older engines know no such filter and spare none.
   */
  private async volumePruneQuery(query: URLSearchParams, version = 0): Promise<URLSearchParams> {
    if (version < SPARING_VERSION || (await this.docker.rawEngine.versionRange()).max >= SPARING_VERSION) return query;
    const { all = [], ...filters } = parseFilters(query.get("filters"));
    if (!all.some((value) => /^(?:1|true)$/i.test(value)))
      throw engineError(400, "this node's engine would remove volumes with names, too: the filter all=true allows it to");
    return new URLSearchParams({ filters: JSON.stringify(filters) });
  }

  private admitObject(row: Row, id: string | undefined, access: Access): Promise<string | undefined> {
    if (row.path.startsWith("/exec/")) return this.admitExec(row, id ?? "", access);
    if (row.path.startsWith("/networks/:id")) return this.admitNetwork(id ?? "", access);
    return this.admitContainer(row, id, access);
  }

  private async admitNetwork(id: string, { labels }: Access): Promise<string> {
    if (!labels) return id;
    return this.docker.confinement.networkId(id, labels).catch((error: unknown) => {
      throw error instanceof AppError && error.code === "INVALID_SPEC" ? engineError(404, `network ${id} not found`) : error;
    });
  }

  private async admitContainer(row: Row, id: string | undefined, access: Access): Promise<string | undefined> {
    if (id === undefined || !row.path.startsWith("/containers/:id")) return id;
    const { check, judge } = row;
    const own = access.labels ? await this.docker.confinement.containerId(id, access.labels, { prefix: true }) : id;
    if (judge === "update" && access.quotas.length > 0) throw refusedBy("max", "The limits of a container can't be changed", {});
    if (check === undefined) return own;
    const info = await this.inspectNamed(own);
    if (check === "start") {
      await this.docker.guard.checkStart(info, access);
      await this.docker.quotas.assertWithin(access);
    }
    if (check === "entry") await this.docker.guard.checkEntry(info, access);
    // What is checked is what is carried out: another container may get the name meanwhile.
    return info.Id;
  }

  /** Inspects a container by its name or id, else by the alias of a managed one, else by first digits of its id. */
  private async inspectNamed(id: string): Promise<ContainerInspectInfo> {
    const named = await this.ask("GET", ["containers", id, "json"]);
    const json = JSON.parse(named.body.toString()) as ContainerInspectInfo & { message: string };
    if (named.status === 200 && (json.Id === id || json.Name === `/${id}`)) return json;
    const { exact } = await this.docker.containers.findMatches(id);
    if (exact[0] && exact[0].id !== json.Id && exact[0].id !== id) return this.inspectNamed(exact[0].id);
    if (named.status === 200) return json;
    throw engineError(named.status, json.message);
  }

  /** An exec is in a container, and entering that gives what it has of the host. */
  private async admitExec(row: Row, id: string, access: Access): Promise<string> {
    if (row.judge !== "execStart" && !access.labels) return id;
    if (access.isFull && this.judgedExecs.has(id)) return id;
    const answer = await this.ask("GET", ["exec", id, "json"]);
    if (answer.status !== 200) throw engineError(answer.status, (JSON.parse(answer.body.toString()) as { message: string }).message);
    const { ContainerID, ProcessConfig } = JSON.parse(answer.body.toString()) as {
      ContainerID: string;
      ProcessConfig?: { privileged?: boolean };
    };
    if (access.labels) await this.docker.confinement.containerId(ContainerID, access.labels, { prefix: false });
    if (row.judge !== "execStart") return id;
    if (ProcessConfig?.privileged) requireAllowed({ ...this.docker.policy, access }, "privileged", "Privileged");
    await this.docker.guard.checkEntry(ContainerID);
    return id;
  }

  private async assertRenamable(id: string, query: URLSearchParams): Promise<void> {
    const { name } = await this.docker.containers.find(id, { prefix: true }).catch(() => ({ name: "" }));
    for (const each of [name, query.get("name") ?? ""]) if (isRunContainer(each)) throw runContainerError(each);
  }

  /** Asks this node's engine in a version that it takes. */
  async ask(
    method: string,
    segments: string[],
    query = new URLSearchParams(),
    version?: number,
    body?: Buffer,
    headers: Record<string, string> = {},
  ): Promise<RawAnswer> {
    const { rawEngine } = this.docker;
    const path = formatTarget(await rawEngine.versionFor(version), segments, query);
    return rawEngine.send({ method, path, body, headers: { ...headers, ...(body ? { "Content-Type": "application/json" } : {}) } });
  }

  /**
   * This node's part of an answer that is merged, or looked into: without what the client may not see.
   * @param raw of a row whose body is judged
   * @throws AppError as `admit`
   */
  async answer(request: LocalRequest, raw?: Buffer): Promise<RawAnswer> {
    const { row, version, access, headers } = request;
    const { id, query, body } = await this.admit(request, raw);
    const ask = () =>
      row.path === "/containers/json"
        ? this.lists.read(access.labels ? withoutLimit(query) : query, version)
        : this.ask(row.method, segmentsOf(row, id), query, version, body, headers);
    const first = await ask();
    const isImageInUse = first.status === 409 && row.method === "DELETE" && row.path === "/images/*name";
    const answer = isImageInUse && (await this.docker.images.release(id ?? "")) ? await ask() : first;
    if (row.changes) this.docker.containers.invalidate();
    if (row.judge === "exec" && access.isFull && answer.status === 201)
      this.judgedExecs.set((JSON.parse(answer.body.toString()) as { Id: string }).Id, true);
    // What a change answers, such as the progress of a pull, is about what the client may change.
    if (answer.status !== 200 || access.isFull || row.method !== "GET") return answer;
    const json = await this.visible(row, JSON.parse(answer.body.toString()), access, limitOf(query));
    return { ...answer, body: Buffer.from(JSON.stringify(json)) };
  }

  private async visible(row: Row, json: unknown, access: Access, limit: number | undefined): Promise<unknown> {
    if (row.hides === "environment" && isHidden(row, access)) {
      const { Config, ...rest } = json as Json;
      return { ...rest, Config: { ...(Config as Json), Env: [] } };
    }
    if (row.path === "/images/json" && !access.allowsEveryImage) {
      return (json as Json[]).flatMap((image) => {
        const RepoTags = ((image.RepoTags ?? []) as string[]).filter((name) => access.allowsImage(name));
        return RepoTags.length > 0 ? [{ ...image, RepoTags }] : [];
      });
    }
    const { labels } = access;
    if (!labels) return json;
    const withLabels = (list: unknown) =>
      ((list ?? []) as Json[]).filter(({ Labels }) => hasLabels((Labels ?? {}) as Record<string, string>, labels));
    if (row.path === "/networks") return withLabels(json);
    if (row.path === "/volumes") return { ...(json as Json), Volumes: withLabels((json as Json).Volumes) };
    if (row.path !== "/containers/json" && row.hides !== "others") return json;
    const { containers } = await this.docker.containers.read();
    const own = new Set((await this.docker.confinement.filter(containers, labels)).map(({ id }) => id));
    if (row.path === "/containers/json") return (json as Json[]).filter(({ Id }) => own.has(String(Id))).slice(0, limit);
    const { Containers, ...rest } = json as Json;
    return { ...rest, Containers: Object.fromEntries(Object.entries(Containers ?? {}).filter(([id]) => own.has(id))) };
  }
}

function judged(judge: NonNullable<Row["judge"]>, raw: Buffer | undefined, context: BodyContext): object {
  if (judge === "exec") return parseExecCreateBody(raw, context);
  if (judge === "execStart") return parseExecStartBody(raw, context);
  if (judge === "update") return parseUpdateBody(raw, context);
  if (judge === "commit") return parseCommitBody(raw, context);
  return parseNetworkConnectBody(raw, context);
}

/** Rows that bring images whose names are in an archive, or in a file that is built. */
const UNNAMED = new Set(["POST /images/load", "POST /build", "POST /images/prune"]);

/** @throws AppError REFUSED_BY_TOKEN, INVALID_INPUT */
function assertImages({ method, path }: Row, id: string | undefined, query: URLSearchParams, access: Access): void {
  if (access.allowsEveryImage) return;
  if (UNNAMED.has(`${method} ${path}`) || query.has("fromSrc")) return void access.assertImage("*");
  const tag = query.get("tag") ?? "";
  const withTag = (name: string) => (tag === "" ? name : tag.includes(":") ? `${name}@${tag}` : `${name}:${tag}`);
  const names = [
    ...(path.includes("/*name") && id !== undefined ? [id] : []),
    ...query.getAll("names"),
    ...["fromImage", "repo"].flatMap((name) => query.get(name) ?? []).map(withTag),
  ];
  for (const name of names) access.assertImage(name);
}
