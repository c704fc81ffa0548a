import fc from "fast-check";
import { hostAccessOf } from "../../../lib/managed/apply-spec";
import { composeDocument } from "../../../lib/managed/compose-document";
import { type ManagedSpec, readManagedSpec, restoreSpec, serializeSpec } from "../../../lib/managed/managed-spec";

const CUID = "c123456789012345678901234";
const PLAIN: ManagedSpec = { image: "a", env: {}, tags: [], resources: {}, ports: [], labels: {}, boot: "/bin/sh" };
const documentOf = (fields: Partial<ManagedSpec>) =>
  JSON.parse(composeDocument(CUID, { ...PLAIN, ...fields }, { entrypoint: [], user: undefined, resume: false, imageLabels: [] }));
const labelsOf = (spec: string) => ({ "docker-server.cuid": CUID, "docker-server.spec": spec });

test("a volume named like the app's own keeps apart from it, and Compose never owns it", () => {
  const { services, volumes } = documentOf({ volumes: { app: "/a", "/srv": "/s:ro" } });
  expect(services.app.volumes).toEqual([{ type: "volume", source: "app", target: "/app" }, "external-app:/a", "/srv:/s:ro"]);
  expect(volumes).toEqual({ app: { name: CUID }, "external-app": { name: "app", external: true } });
});

test("options that were not given are not in the document", () => {
  expect(Object.keys(documentOf({}).services.app)).toEqual(
    expect.not.arrayContaining(["restart", "init", "stop_grace_period", "healthcheck"]),
  );
  expect(documentOf({}).services.app.network_mode).toBe("bridge");
});

test.each<[Partial<ManagedSpec>, object]>([
  [{ restart_policy: "on-failure:3" }, { restart: "on-failure:3" }],
  [
    { init: false, stop_timeout: 0 },
    { init: false, stop_grace_period: "0s" },
  ],
  [{ network: "container:web" }, { network_mode: "container:web" }],
  [{ healthcheck: { cmd: "a $B", retries: 1 } }, { healthcheck: { test: ["CMD-SHELL", "a $$B"], retries: 1 } }],
  [{ healthcheck: { disable: true, cmd: "a" } }, { healthcheck: { disable: true } }],
])("%j becomes %j", (fields, expected) => {
  expect(documentOf(fields).services.app).toMatchObject(expected);
});

test("what the policy judges is what the document mounts and joins", () => {
  const source = fc.oneof(fc.stringMatching(/^\/[a-z/]{0,9}$/), fc.stringMatching(/^[a-z][a-z0-9_.-]{1,9}$/));
  const mounts = fc.dictionary(source, fc.stringMatching(/^\/[a-z]{1,9}(:ro)?$/));
  fc.assert(
    fc.property(mounts, fc.option(fc.constantFrom("host", "container:a", "own"), { nil: undefined }), (volumes, network) => {
      const judged = hostAccessOf({ volumes, network });
      const { services, volumes: named } = documentOf({ volumes, ...(network ? { network } : {}) });
      const mounted = (services.app.volumes.slice(1) as string[]).map((mount) => {
        const [from = "", ...to] = mount.split(":");
        return [from.startsWith("/") ? from : named[from].name, to.join(":")];
      });
      expect(Object.fromEntries(mounted)).toEqual(judged.volumes);
      expect(services.app.network_mode).toBe(judged.network ?? "bridge");
    }),
  );
});

test("a spec is read from its label as it was written", () => {
  const spec = {
    ...PLAIN,
    restart_policy: "always",
    volumes: { data: "/d:ro" },
    network: "own",
    init: true,
    stop_timeout: 5,
    healthcheck: { cmd: "true" },
  };
  const stored = readManagedSpec({ name: CUID, labels: labelsOf(serializeSpec(spec)) });
  expect(stored && restoreSpec(stored, [])).toEqual(spec);
});

test.each([{ volumes: { "a:b": "/c" } }, { volumes: { "/a": "/b:/c" } }, { volumes: { "./a": "/b" } }, { volumes: { "": "/b" } }])(
  "a label with %j, which Compose would read as something else, makes no container managed",
  (fields) => {
    const spec = JSON.stringify({ ...JSON.parse(serializeSpec(PLAIN)), ...fields });
    expect(readManagedSpec({ name: CUID, labels: labelsOf(spec) })).toBeUndefined();
  },
);
