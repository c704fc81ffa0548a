import { isIPv4 } from "node:net";
import type { Request, RequestHandler, Response } from "express";
import { ipKeyGenerator, MemoryStore, type Options, rateLimit, type Store } from "express-rate-limit";
import { AppError } from "../errors";
import type { Burst } from "./route";

const MINUTE = 60_000;

/** The client's address, a whole network of IPv6 counting as one. */
export function addressOf(request: Request): string {
  const ip = request.ip ?? "";
  // Taking IPv6 apart costs more than all else that lets a request in.
  const short = ip.startsWith("::ffff:") ? ip.slice(7) : ip;
  return isIPv4(short) ? short : ipKeyGenerator(ip);
}

/**
 * Makes the limiters of the burst classes, counted by credential and address.
 * @param limits requests a minute; 0: no limit
 * @param countsOf where a class is counted, if not in this process
 */
export function burstLimits(
  limits: Record<Exclude<Burst, "none">, number>,
  countsOf?: (name: string) => Store,
): Record<Burst, RequestHandler> {
  const limit = (name: Exclude<Burst, "none">): RequestHandler => {
    if (limits[name] === 0) return pass;
    return rateLimit({
      windowMs: MINUTE,
      limit: limits[name],
      ...(countsOf ? { store: countsOf(name) } : {}),
      // A client's request is counted where it came in.
      skip: (_request, response) => (response as Response).locals.peer !== undefined,
      identifier: name,
      standardHeaders: "draft-8",
      legacyHeaders: false,
      keyGenerator: (request, response) => `${name} ${(response as Response).locals.identity ?? ""} ${addressOf(request)}`,
      handler: () => {
        throw new AppError("TOO_MANY_REQUESTS", {
          message: `More than ${limits[name]} requests a minute of the ${name} burst class`,
          details: { burst: name },
        });
      },
    });
  };
  return { low: limit("low"), mid: limit("mid"), high: limit("high"), none: pass };
}

const pass: RequestHandler = (_request, _response, next) => next();

/** Counts wrong credentials by address. */
export class FailureLimit {
  private readonly store = new MemoryStore();

  /** @param limit failures a minute and address; 0: no limit */
  constructor(private readonly limit: number) {
    this.store.init({ windowMs: MINUTE } as Options);
  }

  async count(request: Request): Promise<void> {
    await this.store.increment(addressOf(request));
  }

  /** Whole seconds for which nothing more is tried for this address; 0 if it may. */
  async secondsLeft(request: Request): Promise<number> {
    const failed = this.limit === 0 ? undefined : await this.store.get(addressOf(request));
    if (!failed || failed.totalHits < this.limit) return 0;
    return Math.max(1, Math.ceil(((failed.resetTime?.getTime() ?? 0) - Date.now()) / 1000));
  }
}
