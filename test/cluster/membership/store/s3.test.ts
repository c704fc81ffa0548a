import { PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { openStore } from "../../../../lib/cluster/membership/store/open-store";
import { S3Store } from "../../../../lib/cluster/membership/store/s3-store";
import { BUCKET, type S3Server, startS3 } from "../../../support/s3";
import { quietLog } from "../../../support/unit/quiet-log";
import { survivesItsServer } from "./faults";
import { behavesAsAStore } from "./suite";

let server: S3Server;
beforeAll(async () => {
  server = await startS3();
});
afterAll(() => server.stop());

let count = 0;
const make = (prefix: string, bucket = BUCKET) =>
  new S3Store({ bucket, prefix, endpoint: server.endpoint, region: "us-east-1", pathStyle: true });

async function put(key: string, text: string): Promise<void> {
  const client = new S3Client({ endpoint: server.endpoint, region: "us-east-1", forcePathStyle: true });
  await client.send(new PutObjectCommand({ Bucket: BUCKET, Key: key, Body: text }));
  client.destroy();
}

describe("S3", () => {
  behavesAsAStore(async () => {
    count += 1;
    const prefix = `suite-${count}/nodes`;
    return {
      node: () => make(prefix),
      async addUnrelatedEntries() {
        await put(`${prefix}/notes.txt`, "somebody's");
        await put(`${prefix}-2/b.node.json`, "another pool's");
        await put(`${prefix}/huge.node.json`, "x".repeat(20_000));
        await put("b.node.json", "somebody's");
      },
    };
  });

  survivesItsServer(
    () => server,
    () => make("faults"),
  );

  test("a read is one list, and one get per object changed since the last read", async () => {
    const [one, two, reader] = [make("counted"), make("counted"), make("counted")] as [S3Store, S3Store, S3Store];
    await one.publish("a", "1");
    await two.publish("b", "1");
    await reader.read();
    server.requests();
    await reader.read();
    expect(server.requests()).toEqual([expect.stringMatching(/^GET \/pool\/?\?.*list-type=2/)]);
    await two.publish("b", "2");
    server.requests();
    expect((await reader.read()).get("b")).toBe("2");
    expect(server.requests()).toEqual([
      expect.stringMatching(/^GET \/pool\/?\?.*list-type=2/),
      expect.stringMatching(/^GET \/pool\/counted\/b\.node\.json/),
    ]);
    await Promise.all([one, two, reader].map((store) => store.close()));
  });

  test("more objects than one list page holds are all read", async () => {
    const store = make("many");
    const keys = Array.from({ length: 1050 }, (_, index) => `n${index}`);
    for (let start = 0; start < keys.length; start += 25) {
      await Promise.all(keys.slice(start, start + 25).map((key) => store.publish(key, key)));
    }
    server.requests();
    expect((await store.read()).size).toBe(1050);
    expect(server.requests().filter((each) => each.includes("list-type=2"))).toHaveLength(2);
    await store.close();
  });

  test("--folder is the prefix of the keys, and with --s3_path_style the bucket is in the path", async () => {
    const store = openStore(
      {
        folder: "/some/folder/",
        s3: BUCKET,
        s3_endpoint: server.endpoint,
        s3_region: "us-east-1",
        s3_path_style: true,
        redis: null,
        refresh_rate: 1000,
      },
      quietLog().log,
    );
    server.requests();
    await store.publish("a", "text");
    expect(server.requests()).toEqual([expect.stringMatching(/^PUT \/pool\/some\/folder\/a\.node\.json/)]);
    await store.close();
  });

  test("an endpoint needs no region; Amazon's own does, and a start without one fails", async () => {
    const { AWS_REGION, HOME } = process.env;
    Object.assign(process.env, { AWS_REGION: "", HOME: "/nonexistent" });
    try {
      const settings = { bucket: BUCKET, prefix: "no-region", region: null, pathStyle: true };
      const store = new S3Store({ ...settings, endpoint: server.endpoint });
      await store.assertUsable();
      await store.publish("a", "text");
      expect([...(await store.read()).keys()]).toEqual(["a"]);
      await expect(new S3Store({ ...settings, endpoint: null }).assertUsable()).rejects.toThrow("--s3_region");
      await store.close();
    } finally {
      Object.assign(process.env, { AWS_REGION, HOME });
    }
  });

  test("a bucket that doesn't exist is an error that says so", async () => {
    const store = make("x", "nowhere");
    await expect(store.read()).rejects.toThrow(/bucket/i);
    await expect(store.publish("a", "text")).rejects.toThrow(/bucket/i);
    await store.close();
  });
});
