import { reachableAddress } from "./default-route";
import { toUrlHost } from "./url-host";

export interface AddressSettings {
  advertise: string | null;
  https: boolean;
  host: string | null;
  port: number;
  node_name: string | null;
}

/** Where other nodes reach this one, and its name. */
export function nodeAddress({ advertise, https, host, port, node_name }: AddressSettings): { url: string; nodeName: string } {
  const url = advertise ?? `${https ? "https" : "http"}://${toUrlHost(reachableAddress(host))}:${port}`;
  return { url, nodeName: node_name ?? new URL(url).host };
}
