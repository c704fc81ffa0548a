import { z } from "zod";
import { Access, type RouteAccess } from "../access/access";
import { type Caveats, caveatsSchema, EXPIRES_FORMS } from "../access/caveats";
import { PERMISSIONS } from "../access/permissions";
import { decodeLink, extendClaim, newClaim, readRequestedCaveats, signClaim, type TokenClaim } from "../access/token";
import type { NarrowTokens } from "../auth/narrow-tokens";
import { here } from "../cluster/routing/where";
import type { Quotas } from "../docker/create/quotas";
import { AppError } from "../errors";
import { isReserved, Reply, type Route, route } from "../http/route";
import { SIZE_FORMS } from "../support/byte-sizes";
import { imageReference } from "./schemas/common";

const expires = z
  .union([z.int(), z.string()], { error: `must be ${EXPIRES_FORMS}` })
  .describe("Seconds since 1970, or a time from now: 30m, 12h, 7d");
const memory = z.union([z.int(), z.string()], { error: `must be ${SIZE_FORMS}` }).describe("Bytes, or a size such as 512m");
const max = caveatsSchema.shape.max.unwrap().extend({ memory: memory.optional() });
const requestedCaveats = caveatsSchema.extend({ expires: expires.optional(), max: max.optional() });
const use = z.object({ containers: z.number(), memory: z.number(), cpus: z.number(), runs: z.number() });
const links = z.array(z.record(z.string(), z.unknown())).describe("The caveats of each link of the chain");

/**
 * Makes tokens, and tells what one may do (docs/security.md, "Narrow tokens").
 * @param quotas counts what a token's `max` leaves
 * @param routes all routes, for `POST /tokens/check`
 */
export function tokenRoutes(
  narrow: NarrowTokens,
  quotas: Pick<Quotas, "used">,
  routes: () => readonly (RouteAccess & { method: string; path: string })[],
): Route[] {
  const make = route({
    method: "post",
    path: "/tokens",
    where: here,
    burst: "low",
    permission: "admin",
    confined: "untouched",
    summary: "Make a token; with a narrow token: one that permits no more than both",
    body: requestedCaveats,
    example: { can: ["read", "logs"], expires: "12h" },
    responses: {
      201: { description: "The token, which is shown only now", schema: z.object({ token: z.string(), id: z.string(), caveats: links }) },
    },
    handler({ body, access }) {
      const caveats = readRequestedCaveats(body);
      if (access.claim) access.assertLeavesPermission(caveats);
      const claim = access.claim ? extendClaim(access.claim, caveats) : newClaim(caveats);
      assertUsable(claim);
      const token = signClaim(narrow.signingKey, claim);
      return new Reply(201, { token, id: claim.id, caveats: claim.links.map(decodeLink) });
    },
  });

  const whoami = route({
    method: "get",
    path: "/whoami",
    where: here,
    burst: "high",
    permission: null,
    summary: "Who the client is and what it may do",
    responses: {
      200: {
        description: "The client",
        schema: z.object({
          user: z.string(),
          full: z.boolean().describe("whether it may do everything"),
          can: z.array(z.enum(PERMISSIONS)),
          id: z.string().optional().describe("of its token"),
          caveats: links.optional(),
          expires: z.string().optional().describe("ISO 8601"),
          quotas: z
            .array(
              z.object({
                labels: z.record(z.string(), z.string()),
                max: use.partial(),
                used: use,
                missing: z.array(z.string()).optional(),
              }),
            )
            .optional()
            .describe("of each max: the labels that it counts, what of it is used, and the nodes that can't be asked"),
        }),
      },
    },
    handler: async ({ caller, access }) => ({
      user: caller.identity,
      full: access.isFull,
      can: access.permissions,
      ...(access.claim
        ? { id: access.claim.id, caveats: access.caveats as Caveats[], expires: new Date((access.expires ?? 0) * 1000).toISOString() }
        : {}),
      ...(access.quotas.length > 0 ? { quotas: await quotas.used(access) } : {}),
    }),
  });

  const check = route({
    method: "post",
    path: "/tokens/check",
    where: here,
    burst: "high",
    permission: null,
    summary: "Whether the client's token permits a request, without sending it",
    body: z.object({
      method: z.string().max(10),
      path: z.string().regex(/^\/[^?#]*$/, "must be a path that begins with a slash, without a query, such as /containers"),
      image: imageReference.optional(),
      node: z.string().optional(),
    }),
    example: { method: "PUT", path: "/", image: "redis" },
    responses: {
      200: {
        description: "Whether it is permitted, as far as these fields tell; of a container the labels are looked at when it is asked for",
        schema: z.object({
          allowed: z.boolean(),
          permission: z.enum(PERMISSIONS).nullable(),
          caveat: z.string().optional().describe("that refuses it"),
          message: z.string().optional(),
          labels: z
            .record(z.string(), z.string())
            .optional()
            .describe("permitted only if what the path names has these labels, which is not looked at here"),
        }),
      },
    },
    handler({ body, access }) {
      const wanted = findRoute(routes(), body.method, body.path);
      try {
        access.assertRoute(wanted);
        if (body.image !== undefined) access.assertImage(body.image);
        if (body.node !== undefined) access.assertNode(body.node);
      } catch (error) {
        if (!(error instanceof AppError && error.code === "REFUSED_BY_TOKEN")) throw error;
        return { allowed: false, permission: wanted.permission, caveat: error.details.caveat, message: error.message };
      }
      const isConfined = access.labels && (wanted.confined === "container" || wanted.confined === "volume");
      return { allowed: true, permission: wanted.permission, ...(isConfined ? { labels: access.labels } : {}) };
    },
  });

  return [make, whoami, check];
}

/** @throws AppError ROUTE_NOT_FOUND */
function findRoute<R extends RouteAccess & { method: string; path: string }>(routes: readonly R[], method: string, path: string): R {
  const startsReserved = isReserved(path.split("/")[1] ?? "");
  const matches = routes
    .filter((each) => each.method.toUpperCase() === method.toUpperCase())
    .filter((each) => !(startsReserved && /^\/[:*]/.test(each.path)))
    .filter((each) => new RegExp(`^${each.path.replace(/[.]/g, "\\.").replace(/:\w+/g, "[^/]+").replace(/\*\w+/g, ".+")}/?$`).test(path));
  // As Express finds it: a fixed segment before a parameter.
  const [found] = matches.sort((a, b) => a.path.replace(/[^:*]/g, "").length - b.path.replace(/[^:*]/g, "").length);
  if (!found) throw new AppError("ROUTE_NOT_FOUND", { message: `No such route: ${method} ${path}` });
  return found;
}

/** A token that would be refused is not made. @throws AppError INVALID_INPUT */
function assertUsable(claim: TokenClaim): void {
  try {
    Access.of(claim);
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== "TOKEN_REFUSED") throw error;
    throw new AppError("INVALID_INPUT", { message: `No such token is made: ${error.message}`, cause: error });
  }
}
