import { BlockList, isIP } from "node:net";
import { AppError, type ErrorOptions, invalidField } from "../errors";
import { plainAddress } from "../support/plain-address";
import { type CaveatName, type Caveats, DRIVER_OPTIONS, ENFORCED_CAVEATS, toAddressList } from "./caveats";
import { matchesImage } from "./image-patterns";
import { type Confinement, PERMISSIONS, type Permission } from "./permissions";
import { claimKey, decodeLink, type TokenClaim } from "./token";

/** What a route declares about the clients that may call it. */
export interface RouteAccess {
  permission: Permission | null;
  confined?: Confinement;
}

/**
 * What the client of a request may do: everything, or what every link of its token permits. All decisions are made here; each throws
 * AppError REFUSED_BY_TOKEN with the name of the caveat that refuses.
 */
export class Access {
  /** Of a root token, or of a user with a password. */
  static readonly full = new Access(undefined, [], () => false);

  private readonly addressLists: readonly BlockList[];

  private constructor(
    /** what its token says; undefined if it may do everything */
    readonly claim: TokenClaim | undefined,
    private readonly links: readonly Caveats[],
    private readonly isRevoked: (id: string) => boolean,
  ) {
    this.addressLists = links.flatMap(({ from }) => (from ? [toAddressList(from) ?? new BlockList()] : []));
  }

  /**
   * @param isRevoked whether the token with an id is revoked by now
   * @throws AppError TOKEN_REFUSED if the claim has a caveat that this version doesn't know or enforce: it can't be obeyed
   */
  static of(claim: TokenClaim, isRevoked: (id: string) => boolean = () => false): Access {
    let links: Caveats[];
    try {
      links = claim.links.map(decodeLink);
    } catch (error) {
      throw refusedToken(`The token can't be obeyed here: ${(error as Error).message}`, error);
    }
    const unknown = links.flatMap((link) => Object.keys(link) as CaveatName[]).find((name) => !ENFORCED_CAVEATS.includes(name));
    if (unknown !== undefined) throw refusedToken(`The token can't be obeyed here: ${unknown} is not enforced`);
    if (links[0]?.expires === undefined) throw refusedToken("The token has no expiry");
    const access = new Access(claim, links, isRevoked);
    if (access.links.some((link, index) => link.max && access.labelsUpTo(index) === undefined))
      throw refusedToken("The token has max without labels");
    return access;
  }

  get isFull(): boolean {
    return this.claim === undefined;
  }

  /** Distinguishes clients: of two tokens with the same id too. */
  get key(): string {
    return this.claim ? claimKey(this.claim) : "";
  }

  /** The caveats of its links, for the audit log and for the client itself. */
  get caveats(): readonly Caveats[] {
    return this.links;
  }

  /** The names of its caveats: a node must enforce all of them to get its requests. */
  get caveatNames(): CaveatName[] {
    return [...new Set(this.links.flatMap((link) => Object.keys(link) as CaveatName[]))];
  }

  /** Seconds since 1970; undefined if it doesn't expire. */
  get expires(): number | undefined {
    return this.isFull ? undefined : Math.min(...this.links.flatMap(({ expires }) => expires ?? []));
  }

  /** The labels of everything that it sees and makes; undefined if it isn't confined. */
  get labels(): Readonly<Record<string, string>> | undefined {
    return this.labelsUpTo(this.links.length - 1);
  }

  /** The labels of a link and those before it: later ones don't change what an earlier quota counts. */
  private labelsUpTo(index: number): Record<string, string> | undefined {
    const maps = this.links.slice(0, index + 1).flatMap(({ labels }) => (labels ? [labels] : []));
    return maps.length === 0 ? undefined : Object.assign({}, ...maps);
  }

  /** Whether two links want different values of one label: nothing has both. */
  private get labelsConflict(): boolean {
    const { labels } = this;
    return (
      labels !== undefined && this.links.some((link) => Object.entries(link.labels ?? {}).some(([key, value]) => labels[key] !== value))
    );
  }

  /** The quotas, each with the labels that it counts. */
  get quotas(): { max: NonNullable<Caveats["max"]>; labels: Record<string, string> }[] {
    return this.links.flatMap(({ max }, index) => (max ? [{ max, labels: this.labelsUpTo(index) ?? {} }] : []));
  }

  can(permission: Permission): boolean {
    return this.links.every(({ can }) => can === undefined || can.includes(permission));
  }

  /** The permissions that it has. */
  get permissions(): Permission[] {
    return PERMISSIONS.filter((permission) => this.can(permission));
  }

  /**
   * @param caveats of a further link
   * @throws AppError INVALID_INPUT if they would leave no permission
   */
  assertLeavesPermission({ can }: Caveats): void {
    if (can === undefined || can.some((permission) => this.can(permission))) return;
    throw invalidField("can", `must share a permission with the token, which has ${this.permissions.join(", ") || "none"}`);
  }

  /**
   * @throws AppError REFUSED_BY_TOKEN can or labels
   * @throws AppError TOKEN_REFUSED
   */
  assertRoute({ permission, confined }: RouteAccess): void {
    this.assertLive();
    if (permission !== null && !this.can(permission)) throw refusedBy("can", `It needs ${permission}`, { permission });
    if (this.labels === undefined) return;
    if (permission !== null && confined === undefined) throw refusedBy("labels", "It concerns more than what has these labels");
    if (this.labelsConflict) throw refusedBy("labels", "Nothing can have two values of one label");
  }

  /** Whether it may call a route, whatever the request asks. */
  mayCall(route: RouteAccess): boolean {
    try {
      this.assertRoute(route);
      return true;
    } catch {
      return false;
    }
  }

  /** @throws AppError TOKEN_REFUSED if the token is expired or revoked by now */
  assertLive(): void {
    if (!this.claim) return;
    if (this.isRevoked(this.claim.id)) throw refusedToken("The token is revoked");
    if (Date.now() >= (this.expires ?? 0) * 1000) throw refusedToken("The token has expired");
  }

  allowsNode(nodeName: string): boolean {
    return this.links.every(({ nodes }) => nodes === undefined || nodes.includes(nodeName));
  }

  /** @throws AppError REFUSED_BY_TOKEN nodes */
  assertNode(nodeName: string): void {
    if (this.allowsNode(nodeName)) return;
    const named = this.links.flatMap(({ nodes = [] }) => nodes).filter((name) => this.allowsNode(name));
    throw refusedBy("nodes", `It would run on the node ${nodeName}, and may on ${[...new Set(named)].join(", ") || "none"}`);
  }

  /** @param address as the node sees it that the client is connected to */
  allowsAddress(address: string): boolean {
    const plain = plainAddress(address);
    const family = isIP(plain);
    return this.addressLists.every((list) => family !== 0 && list.check(plain, family === 4 ? "ipv4" : "ipv6"));
  }

  /** @throws AppError REFUSED_BY_TOKEN from */
  assertAddress(address: string): void {
    if (!this.allowsAddress(address)) throw refusedBy("from", `It is not valid from the address ${address}`);
  }

  /** @param reference a valid image reference */
  allowsImage(reference: string): boolean {
    return this.links.every(({ images }) => images === undefined || matchesImage(images, reference));
  }

  get allowsEveryImage(): boolean {
    return this.links.every(({ images }) => images === undefined || images.includes("*"));
  }

  /** @throws AppError REFUSED_BY_TOKEN images */
  assertImage(reference: string): void {
    if (!this.allowsImage(reference)) throw refusedBy("images", `It names another image than ${reference}`, { image: reference });
  }

  /** Whether its `host` caveats let it mount some folders of the host, and not all. */
  get listsHostPaths(): boolean {
    return !this.isFull && this.listsHost((item) => item.startsWith("/"));
  }

  /**
   * Whether the token lists something of the host. A token gets nothing of it unless its first link lists it; no later link can add any.
   * @param matches tells whether an item of a `host` caveat covers it
   */
  private listsHost(matches: (item: string) => boolean): boolean {
    return this.links.every(({ host }, index) => (host === undefined && index > 0) || (host ?? []).some(matches));
  }

  /**
   * @param name of what `--allow` opens
   * @throws AppError REFUSED_BY_TOKEN host
   */
  assertHostOption(name: string, field: string): void {
    if (!this.isFull && !this.listsHost((item) => item === name)) throw refusedBy("host", `${field} needs ${name}`, { field });
  }

  /**
   * @param isInside whether the path is inside a folder
   * @throws AppError REFUSED_BY_TOKEN host
   */
  assertHostPath(isInside: (folder: string) => boolean, field: string): void {
    if (!this.listsHost((item) => item.startsWith("/") && isInside(item)))
      throw refusedBy("host", `${field} is a path of the host`, { field });
  }

  /** @throws AppError REFUSED_BY_TOKEN host */
  assertDriverOptions(field: string): void {
    this.assertHostOption(DRIVER_OPTIONS, field);
  }
}

/** A refusal that names the caveat. */
export function refusedBy(caveat: CaveatName, why: string, details: Record<string, unknown> = {}): AppError {
  return new AppError("REFUSED_BY_TOKEN", {
    message: `The token does not permit this: ${why} (${caveat})`,
    details: { caveat, ...details },
  } satisfies ErrorOptions);
}

function refusedToken(message: string, cause?: unknown): AppError {
  return new AppError("TOKEN_REFUSED", { message, cause });
}
