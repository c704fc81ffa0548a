import { isIPv4 } from "node:net";
import type { Request, RequestHandler, Response } from "express";
import { ipKeyGenerator, MemoryStore, type Options, rateLimit, type Store } from "express-rate-limit";
import { AppError } from "../errors";
import { plainAddress } from "../support/plain-address";
import type { BurstClass } from "./route";

const WINDOW_MS = 60_000;

/** The key under which a client's address is counted: an IPv4 address, or the network of an IPv6 address. */
export function clientAddress(request: Request): string {
  const address = plainAddress(request.ip);
  // Fast path for IPv4: ipKeyGenerator costs more than the rest of authentication.
  return isIPv4(address) ? address : ipKeyGenerator(address);
}

/**
 * Makes the rate limiters of the burst classes, which count per identity and address.
 * @param limits requests a minute; 0: no limit
 * @param storeFor the store of a burst class; by default each process counts for itself
 */
export function burstLimits(
  limits: Record<Exclude<BurstClass, "none">, number>,
  storeFor?: (burst: string) => Store,
): Record<BurstClass, RequestHandler> {
  const limiter = (burst: Exclude<BurstClass, "none">): RequestHandler => {
    if (limits[burst] === 0) return noLimit;
    return rateLimit({
      windowMs: WINDOW_MS,
      limit: limits[burst],
      ...(storeFor ? { store: storeFor(burst) } : {}),
      // The node that the client is connected to has counted the request.
      skip: (_request, response) => (response as Response).locals.peer !== undefined,
      identifier: burst,
      standardHeaders: "draft-8",
      legacyHeaders: false,
      keyGenerator: (request, response) => `${burst} ${(response as Response).locals.identity ?? ""} ${clientAddress(request)}`,
      handler: () => {
        throw new AppError("TOO_MANY_REQUESTS", {
          message: `More than ${limits[burst]} requests a minute of the ${burst} burst class (--${burst}_burst)`,
          details: { burst },
        });
      },
    });
  };
  return { low: limiter("low"), mid: limiter("mid"), high: limiter("high"), none: noLimit };
}

const noLimit: RequestHandler = (_request, _response, next) => next();

/** Limits wrong credentials per address. */
export class FailureLimit {
  private readonly store = new MemoryStore();

  /** @param limit failures a minute and address; 0: no limit */
  constructor(private readonly limit: number) {
    this.store.init({ windowMs: WINDOW_MS } as Options);
  }

  async count(request: Request): Promise<void> {
    await this.store.increment(clientAddress(request));
  }

  /** Whole seconds for which the client's address stays blocked; 0 if it isn't. */
  async retryAfterSeconds(request: Request): Promise<number> {
    const failures = this.limit === 0 ? undefined : await this.store.get(clientAddress(request));
    if (!failures || failures.totalHits < this.limit) return 0;
    return Math.max(1, Math.ceil(((failures.resetTime?.getTime() ?? 0) - Date.now()) / 1000));
  }
}
