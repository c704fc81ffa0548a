import type { RegistryAuth } from "../../../../lib/docker/engine";
import { loginFor, registryOf } from "../../../../lib/docker/images/registry-login";

describe("registry login", () => {
  const auth = (more: Partial<RegistryAuth> = {}): RegistryAuth => ({ username: "u", password: "p", ...more });

  test.each([
    ["busybox", "docker.io"],
    ["team/app:1", "docker.io"],
    ["docker.io/library/redis", "docker.io"],
    ["index.docker.io/a/b", "docker.io"],
    ["ghcr.io/user/app", "ghcr.io"],
    ["localhost/app", "localhost"],
    ["host:5000/app@sha256:0", "host:5000"],
  ])("%s comes from %s", (image, registry) => expect(registryOf(image)).toBe(registry));

  test.each(["https://index.docker.io/v1/", "docker.io", "https://registry-1.docker.io", "http://INDEX.docker.io/v2", undefined])(
    "serveraddress %s is Docker Hub, for an image from there",
    (serveraddress) => {
      expect(loginFor("team/app", auth({ serveraddress }))).toEqual({
        username: "u",
        password: "p",
        serveraddress: "https://index.docker.io/v1/",
      });
    },
  );

  test.each([
    ["ghcr.io/u/app", "https://ghcr.io"],
    ["gcr.io/p/app", "https://gcr.io/"],
    ["host:5000/app", "host:5000"],
  ])("for %s accepts the address %s", (image, serveraddress) => {
    expect(loginFor(image, auth({ serveraddress }))).toMatchObject({ password: "p" });
  });

  test("for one registry is withheld from others", () => {
    const login = loginFor("elsewhere:5000/app", auth({ serveraddress: "https://index.docker.io/v1/" }));
    expect(login).toEqual({ withheld: expect.stringContaining("docker.io") });
  });

  const KEY = JSON.stringify({ type: "service_account", private_key: "-----BEGIN PRIVATE KEY-----\nx\n" });
  test("of _json_key gets its key decoded to JSON", () => {
    const encoded = Buffer.from(KEY).toString("base64");
    for (const password of [encoded, `${encoded.slice(0, 40)}\n${encoded.slice(40)}\n`, KEY]) {
      expect(loginFor("gcr.io/p/a", auth({ username: "_json_key", password }))).toMatchObject({ password: KEY });
    }
    const bad = Buffer.from("no json").toString("base64");
    expect(() => loginFor("gcr.io/p/a", auth({ username: "_json_key", password: bad }))).toThrow("auth_config.password");
  });
});
