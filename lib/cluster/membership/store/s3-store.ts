import { DeleteObjectCommand, GetObjectCommand, ListObjectsV2Command, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { forEachParallel } from "../../../support/for-each-parallel";
import { SettingsError } from "../../../support/settings-error";
import type { Store } from "./store";

export interface S3Settings {
  bucket: string;
  /** of the object keys, without leading or trailing slash */
  prefix: string;
  /** of a compatible server; AWS if null */
  endpoint: string | null;
  region: string | null;
  pathStyle: boolean;
}

const KEY_SUFFIX = ".node.json";
const MAX_PARALLEL_GETS = 25;
/** Larger objects are no records. */
const MAX_OBJECT_BYTES = 10_000;
const REQUEST_TIMEOUT_MS = 4000;
/** What compatible servers without regions expect in signatures. */
const DEFAULT_REGION = "us-east-1";

/** A shared bucket, with one object per node. A read lists the bucket and gets only the objects whose ETag changed. */
export class S3Store implements Store {
  private readonly client: S3Client;
  private readonly cache = new Map<string, { tag: string; text: string }>();

  /** Credentials come from the default AWS provider chain. */
  constructor(private readonly settings: S3Settings) {
    this.client = new S3Client({
      ...(settings.endpoint ? { endpoint: settings.endpoint } : {}),
      ...(settings.region ? { region: settings.region } : settings.endpoint ? { region: configuredRegion } : {}),
      forcePathStyle: settings.pathStyle,
      maxAttempts: 2,
      requestHandler: {
        connectionTimeout: REQUEST_TIMEOUT_MS,
        requestTimeout: REQUEST_TIMEOUT_MS,
        socketTimeout: REQUEST_TIMEOUT_MS,
        throwOnRequestTimeout: true,
      },
      // Some compatible servers don't support the newer checksums.
      requestChecksumCalculation: "WHEN_REQUIRED",
      responseChecksumValidation: "WHEN_REQUIRED",
    });
  }

  async assertUsable(): Promise<void> {
    const { endpoint } = this.settings;
    if (endpoint && !(URL.canParse(endpoint) && /^https?:\/\//i.test(endpoint)))
      throw new SettingsError("--s3_endpoint must be a URL such as http://10.0.0.9:9000");
    await this.client.config.region().catch((cause: unknown) => {
      throw new SettingsError("--s3 needs --s3_region, AWS_REGION or the region of an AWS profile", { cause });
    });
  }

  async publish(key: string, text: string): Promise<void> {
    await this.client.send(new PutObjectCommand({ ...this.location(key), Body: text, ContentType: "application/json" }));
  }

  async read(): Promise<Map<string, string>> {
    const tags = new Map<string, string>();
    let token: string | undefined;
    do {
      const { bucket, prefix } = this.settings;
      const page = await this.client.send(new ListObjectsV2Command({ Bucket: bucket, Prefix: `${prefix}/`, ContinuationToken: token }));
      for (const { Key = "", ETag = "", Size = 0 } of page.Contents ?? []) {
        if (Key.endsWith(KEY_SUFFIX) && Size <= MAX_OBJECT_BYTES) tags.set(Key.slice(prefix.length + 1, -KEY_SUFFIX.length), ETag);
      }
      token = page.NextContinuationToken;
    } while (token);
    for (const key of this.cache.keys()) if (!tags.has(key)) this.cache.delete(key);
    const changed = [...tags].filter(([key, tag]) => this.cache.get(key)?.tag !== tag);
    // A limited number in parallel: a get that waits for a socket uses up its timeout before it is sent.
    await forEachParallel(changed, MAX_PARALLEL_GETS, ([key, tag]) => this.refresh(key, tag));
    return new Map([...this.cache].map(([key, { text }]) => [key, text]));
  }

  private async refresh(key: string, tag: string): Promise<void> {
    try {
      const object = await this.client.send(new GetObjectCommand(this.location(key)));
      this.cache.set(key, { tag, text: (await object.Body?.transformToString()) ?? "" });
    } catch (error) {
      if ((error as Error).name !== "NoSuchKey") throw error;
      this.cache.delete(key);
    }
  }

  async withdraw(key: string): Promise<void> {
    await this.client.send(new DeleteObjectCommand(this.location(key)));
  }

  async close(): Promise<void> {
    this.client.destroy();
  }

  private location(key: string) {
    return { Bucket: this.settings.bucket, Key: `${this.settings.prefix}/${key}${KEY_SUFFIX}` };
  }
}

/** The region of the AWS configuration, of the environment or a profile. */
async function configuredRegion(): Promise<string> {
  return new S3Client({}).config.region().catch(() => DEFAULT_REGION);
}
