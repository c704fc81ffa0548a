import { z } from "zod";
import { requireAllowed } from "../../docker/create/policy";
import { checked, dropped, type Fields, harmless, isLike, judgeFields, nestedMap, struct } from "./body-table";
import { anonymousVolumes } from "./mounts";
import { flag, integer, text, textMap, textOrTexts, textSet, texts } from "./values";

const healthcheck = struct({
  Test: harmless(texts),
  Interval: harmless(integer),
  Timeout: harmless(integer),
  StartPeriod: harmless(integer),
  StartInterval: harmless(integer),
  Retries: harmless(integer),
});

/** Every field of Config in the API 1.24 to 1.52; labels are judged by `ownLabels`. */
export const CONFIG = {
  Hostname: harmless(text),
  Domainname: harmless(text),
  User: harmless(text),
  AttachStdin: harmless(flag),
  AttachStdout: harmless(flag),
  AttachStderr: harmless(flag),
  ExposedPorts: harmless(textSet),
  Tty: harmless(flag),
  OpenStdin: harmless(flag),
  StdinOnce: harmless(flag),
  Env: harmless(texts),
  Cmd: harmless(textOrTexts),
  Healthcheck: harmless(healthcheck),
  ArgsEscaped: harmless(flag),
  Image: harmless(text),
  Volumes: anonymousVolumes,
  WorkingDir: harmless(text),
  Entrypoint: harmless(textOrTexts),
  NetworkDisabled: harmless(flag),
  MacAddress: harmless(text),
  OnBuild: harmless(texts),
  Labels: harmless(textMap),
  StopSignal: harmless(text),
  StopTimeout: harmless(integer),
  Shell: harmless(textOrTexts),
} satisfies Fields;

/**
 * Fields that clients put beside those of Config, and that engines ignore: dockerode's own options, docker-py's Runtime, and what stood
 * here before there was a HostConfig. An engine before 23 reads them if there is no HostConfig.
 */
export const IGNORED_CONFIG = Object.fromEntries(
  [
    ..."name platform authconfig abortSignal hijack stream stdin stdout stderr logs _query".split(" "),
    ..."PortSpecs Dns VolumesFrom VolumeDriver Runtime Memory MemorySwap CpuShares Cpuset CpusetCpus".split(" "),
  ].map((name) => [name, dropped()]),
);

/** The settings of a container in one network. What the engine would fill in itself is not sent on: it can name another network. */
export const ENDPOINT = {
  IPAMConfig: harmless(struct({ IPv4Address: harmless(text), IPv6Address: harmless(text), LinkLocalIPs: harmless(texts) })),
  Links: harmless(texts),
  Aliases: harmless(texts),
  MacAddress: harmless(text),
  GwPriority: harmless(integer),
  DriverOpts: checked(textMap, (value, policy, field) => {
    const other = Object.keys(value).find((option) => !/^com\.docker\.network\.endpoint\.(?:sysctls|ifname)$/.test(option));
    if (other !== undefined) requireAllowed(policy, "host_namespaces", `${field}.${other}`);
  }),
  NetworkID: dropped(),
  EndpointID: dropped(),
  Gateway: dropped(),
  IPAddress: dropped(),
  IPPrefixLen: dropped(),
  IPv6Gateway: dropped(),
  GlobalIPv6Address: dropped(),
  GlobalIPv6PrefixLen: dropped(),
  DNSNames: dropped(),
} satisfies Fields;

const networking = { EndpointsConfig: nestedMap(ENDPOINT) } satisfies Fields;

/** Leaves out what docker-py sends beside EndpointsConfig, which engines ignore: the name of a network, with null. */
function withoutNulls(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).filter(([name, each]) => each !== null || isLike(name, "EndpointsConfig")));
}

/** The networks of a new container. */
export const NETWORKING = checked(z.preprocess(withoutNulls, struct(networking)), (value, policy, field) =>
  judgeFields(networking, value as object, policy, `${field}.`),
);
