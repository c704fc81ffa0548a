import { BlockList, isIP } from "node:net";
import { z } from "zod";
import { requireAllowed } from "../../docker/create/policy";
import { invalidField } from "../../errors";
import {
  type BodyContext,
  bodyReader,
  checked,
  dropped,
  type Fields,
  harmless,
  judgeFields,
  nested,
  struct,
  type ValueOf,
} from "./body-table";
import { ENDPOINT } from "./container-config";
import { ownLabels } from "./labels";
import { flag, matching, text, textMap } from "./values";

const ON_HOST = "host_namespaces";

/** Drivers whose networks exist between containers only. */
const INNER_DRIVERS = ["", "bridge", "overlay"];

/** Options of these drivers that leave the host's own networks alone. */
const INNER_OPTIONS =
  /^(?:com\.docker\.network\.(?:bridge\.(?:enable_icc|enable_ip_masquerade|host_binding_ipv4|gateway_mode_ipv[46]|inhibit_ipv4)|driver\.mtu|driver\.overlay\.vxlanid_list|container_iface_prefix|enable_ipv[46])|encrypted|mtu|isolate)$/;

/** Private and documentation networks: in any other a container could answer for a host of the Internet. */
const PRIVATE_NETWORKS = new BlockList();
for (const [address, prefix] of [
  ["10.0.0.0", 8],
  ["172.16.0.0", 12],
  ["192.168.0.0", 16],
  ["100.64.0.0", 10],
  ["198.18.0.0", 15],
] as const)
  PRIVATE_NETWORKS.addSubnet(address, prefix, "ipv4");
for (const [address, prefix] of [
  ["fc00::", 7],
  ["2001:db8::", 32],
] as const)
  PRIVATE_NETWORKS.addSubnet(address, prefix, "ipv6");

/** A network's first and last address decide: a larger network is not inside. */
function isPrivate(subnet: string): boolean {
  const [address = "", bits = ""] = subnet.split("/");
  const family = isIP(address);
  if (family === 0 || !/^\d{1,3}$/.test(bits)) return false;
  const least = family === 4 ? { "10": 8, "172": 12, "192": 16, "100": 10, "198": 15 }[address.split(".")[0] ?? ""] : 7;
  return Number(bits) >= (least ?? 129) && PRIVATE_NETWORKS.check(address, family === 4 ? "ipv4" : "ipv6");
}

const pool = {
  Subnet: checked(text, (value, policy, field) => {
    if (value !== "" && !isPrivate(value))
      requireAllowed(policy, ON_HOST, field, "only private networks are harmless to the host's routes");
  }),
  IPRange: harmless(text),
  Gateway: harmless(text),
  AuxiliaryAddresses: harmless(textMap),
} satisfies Fields;

const IPAM = {
  Driver: checked(text, (value, policy, field) => {
    if (!["", "default", "null"].includes(value)) requireAllowed(policy, ON_HOST, field, "only default is harmless");
  }),
  Options: checked(textMap, (value, policy, field) => {
    if (Object.keys(value).length > 0) requireAllowed(policy, ON_HOST, field);
  }),
  Config: checked(z.array(struct(pool)), (value, policy, field) => {
    for (const [index, each] of value.entries()) judgeFields(pool, each, policy, `${field}.${index}.`);
  }),
} satisfies Fields;

const whenTrue = (why: string) =>
  checked(flag, (value, policy, field) => {
    if (value) requireAllowed(policy, ON_HOST, field, why);
  });

/** Every field of a network to create; dockerode sends them in the query too. */
export const NETWORK = {
  Name: harmless(matching(/^[a-zA-Z0-9][a-zA-Z0-9_. -]{0,254}$/, "must be the name of a network")),
  CheckDuplicate: dropped(flag),
  Driver: checked(text, (value, policy, field) => {
    if (!INNER_DRIVERS.includes(value)) requireAllowed(policy, ON_HOST, field, `networks of ${value.slice(0, 50)} reach the host's own`);
  }),
  Scope: harmless(text),
  Internal: harmless(flag),
  Attachable: harmless(flag),
  Ingress: whenTrue("it is the network of a Swarm"),
  ConfigOnly: whenTrue("it holds options for other networks"),
  ConfigFrom: checked(struct({ Network: harmless(text) }), (value, policy, field) => {
    if (value.Network) requireAllowed(policy, ON_HOST, field, "it takes options from another network");
  }),
  IPAM: nested(IPAM),
  EnableIPv4: harmless(flag),
  EnableIPv6: harmless(flag),
  Options: checked(textMap, (value, policy, field) => {
    const other = Object.keys(value).find((option) => !INNER_OPTIONS.test(option));
    if (other !== undefined) requireAllowed(policy, ON_HOST, `${field}.${other}`, "it is not known as harmless to the host");
  }),
  Labels: harmless(textMap),
} satisfies Fields;
const readNetwork = bodyReader(NETWORK);

export type NetworkCreateBody = Omit<ValueOf<typeof NETWORK>, "Name"> & { Name: string };

/**
 * Reads the body of `POST /networks/create`.
 * @throws AppError INVALID_BODY, INVALID_INPUT, NOT_ALLOWED, REFUSED_BY_TOKEN
 */
export function parseNetworkCreateBody(raw: Buffer | undefined, context: BodyContext): NetworkCreateBody {
  const body = readNetwork(raw, context);
  const { Name } = body;
  if (!Name) throw invalidField("Name", "is required");
  // Below API 1.44 an engine makes a second network of the same name without this.
  return { ...body, Name, CheckDuplicate: true, Labels: ownLabels(body.Labels, context.access, "Labels") };
}

const CONNECT = {
  Container: harmless(matching(/^\/?[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}$/, "must be the name or id of a container")),
  EndpointConfig: nested(ENDPOINT),
  Force: harmless(flag),
} satisfies Fields;
const readConnect = bodyReader(CONNECT);

export type NetworkConnectBody = Omit<ValueOf<typeof CONNECT>, "Container"> & { Container: string };

/**
 * Reads the body of `POST /networks/{id}/connect`, and of `…/disconnect`, which has `Force`.
 * @throws AppError INVALID_BODY, INVALID_INPUT, NOT_ALLOWED, REFUSED_BY_TOKEN
 */
export function parseNetworkConnectBody(raw: Buffer | undefined, context: BodyContext): NetworkConnectBody {
  const body = readConnect(raw, context);
  const { Container } = body;
  if (!Container) throw invalidField("Container", "is required");
  return { ...body, Container };
}
