import { lazyRequire } from "../../../support/lazy-require";
import type { Logger } from "../../../support/logger";
import { FolderStore } from "./folder-store";
import type { Store } from "./store";

const loadRedisStore = lazyRequire(() => require("./redis-store") as typeof import("./redis-store"));
const loadS3Store = lazyRequire(() => require("./s3-store") as typeof import("./s3-store"));

export interface StoreSettings {
  folder: string;
  s3: string | null;
  s3_endpoint: string | null;
  s3_region: string | null;
  s3_path_style: boolean;
  redis: string | null;
  refresh_rate: number;
}

/** The store that the settings name: Redis, an S3 bucket, otherwise a folder. */
export function openStore(settings: StoreSettings, log: Logger): Store {
  if (settings.redis !== null) {
    const { RedisStore } = loadRedisStore();
    return new RedisStore(settings.redis, Math.max(settings.refresh_rate * 3, 10_000), log);
  }
  if (settings.s3 !== null) {
    const { S3Store } = loadS3Store();
    const prefix = settings.folder.replace(/^\/+|\/+$/g, "");
    return new S3Store({
      bucket: settings.s3,
      prefix,
      endpoint: settings.s3_endpoint,
      region: settings.s3_region,
      pathStyle: settings.s3_path_style,
    });
  }
  return new FolderStore(settings.folder, log);
}

/** Where the members are published, without the store's credentials. */
export function storeName({ redis, s3, folder }: Pick<StoreSettings, "redis" | "s3" | "folder">): string {
  if (redis !== null) return `redis ${new URL(redis).host}`;
  return s3 === null ? `folder ${folder}` : `bucket ${s3}`;
}
