import { DeleteObjectCommand, GetObjectCommand, ListObjectsV2Command, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import type { Store } from "./store";

export interface S3Settings {
  bucket: string;
  /** of the keys, without slashes at its ends */
  prefix: string;
  /** of a compatible server; Amazon's own if null */
  endpoint: string | null;
  region: string | null;
  pathStyle: boolean;
}

const ENDING = ".node.json";
/** Objects got at a time. */
const AT_A_TIME = 25;
const LARGEST = 10_000;
/** A request that takes longer (ms) has failed. */
const PATIENCE = 4000;

/** A bucket that all nodes share: a read is one list, and a get for each object that changed. */
export class S3Store implements Store {
  private readonly client: S3Client;
  private readonly known = new Map<string, { tag: string; text: string }>();

  /** Credentials come from where the AWS tools find theirs. */
  constructor(private readonly settings: S3Settings) {
    this.client = new S3Client({
      ...(settings.endpoint ? { endpoint: settings.endpoint } : {}),
      ...(settings.region ? { region: settings.region } : {}),
      forcePathStyle: settings.pathStyle,
      maxAttempts: 2,
      requestHandler: { connectionTimeout: PATIENCE, requestTimeout: PATIENCE, socketTimeout: PATIENCE, throwOnRequestTimeout: true },
      // Compatible servers don't all know the newer checksums.
      requestChecksumCalculation: "WHEN_REQUIRED",
      responseChecksumValidation: "WHEN_REQUIRED",
    });
  }

  async publish(key: string, text: string): Promise<void> {
    await this.client.send(new PutObjectCommand({ ...this.at(key), Body: text, ContentType: "application/json" }));
  }

  async read(): Promise<Map<string, string>> {
    const tags = new Map<string, string>();
    let token: string | undefined;
    do {
      const { bucket, prefix } = this.settings;
      const page = await this.client.send(new ListObjectsV2Command({ Bucket: bucket, Prefix: `${prefix}/`, ContinuationToken: token }));
      for (const { Key = "", ETag = "", Size = 0 } of page.Contents ?? []) {
        if (Key.endsWith(ENDING) && Size <= LARGEST) tags.set(Key.slice(prefix.length + 1, -ENDING.length), ETag);
      }
      token = page.NextContinuationToken;
    } while (token);
    for (const key of this.known.keys()) if (!tags.has(key)) this.known.delete(key);
    const changed = [...tags].filter(([key, tag]) => this.known.get(key)?.tag !== tag);
    // So many at a time: what waits for a connection would be late before it is asked.
    const worker = async () => {
      for (let next = changed.pop(); next; next = changed.pop()) await this.refresh(...next);
    };
    await Promise.all(Array.from({ length: AT_A_TIME }, worker));
    return new Map([...this.known].map(([key, { text }]) => [key, text]));
  }

  private async refresh(key: string, tag: string): Promise<void> {
    try {
      const object = await this.client.send(new GetObjectCommand(this.at(key)));
      this.known.set(key, { tag, text: (await object.Body?.transformToString()) ?? "" });
    } catch (error) {
      if ((error as Error).name !== "NoSuchKey") throw error;
      this.known.delete(key);
    }
  }

  async withdraw(key: string): Promise<void> {
    await this.client.send(new DeleteObjectCommand(this.at(key)));
  }

  async close(): Promise<void> {
    this.client.destroy();
  }

  private at(key: string) {
    return { Bucket: this.settings.bucket, Key: `${this.settings.prefix}/${key}${ENDING}` };
  }
}
