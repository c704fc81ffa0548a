import net from "node:net";

/**
 * Finds `count` different TCP ports that are free on 127.0.0.1. They aren't reserved, so use them soon,
 * and prefer port 0 wherever a program reports the port it got.
 */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => net.createServer());
  await Promise.all(servers.map((server) => new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))));
  const ports = servers.map((server) => (server.address() as net.AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

/** Whether something accepts TCP connections on a port of 127.0.0.1. Never rejects. */
export function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const connection = net.connect(port, "127.0.0.1");
    connection.on("connect", () => {
      connection.destroy();
      resolve(true);
    });
    connection.on("error", () => resolve(false));
  });
}
