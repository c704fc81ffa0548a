import { checkVolumeOptions } from "../../../../lib/docker/create/policy";

const fieldOf = (option: string) => `driver_opts.${option}`;

describe("checkVolumeOptions", () => {
  const policy = { allow: [], bindRoots: [], sockets: ["/var/run/docker.sock"] };
  test.each([
    { type: "none", o: "bind", device: "/var/run" },
    { o: "bind", device: "run/../var/run" },
    { type: "tmpfs", o: "size=1m,rbind", device: "/run" },
    { type: "nfs", o: "bind", device: "/" },
    { type: "overlay", o: "lowerdir=/var/run", device: "overlay" },
    { type: "ext4", device: "/dev/sda1" },
  ])("refuses options that reach the host: %j", (options) => {
    expect(() => checkVolumeOptions("local", options, policy, fieldOf)).toThrow(/refused/);
  });
  test("refuses a path to the socket for another driver", () => {
    expect(() => checkVolumeOptions("plugin", { mountpoint: "/var/run" }, policy, fieldOf)).toThrow(/refused/);
  });
  test.each([
    {},
    { type: "tmpfs", device: "tmpfs", o: "size=1m" },
    { type: "nfs", o: "addr=10.0.0.1", device: ":/x" },
    { type: "none", o: "bind", device: "/srv" },
  ])("allows options that don't reach the host: %j", (options) => checkVolumeOptions("local", options, policy, fieldOf));
  test("applies bind_roots", () => {
    const narrow = { ...policy, bindRoots: ["/srv"] };
    expect(() => checkVolumeOptions("local", { o: "bind", device: "/home" }, narrow, fieldOf)).toThrow(/outside/);
  });
});
