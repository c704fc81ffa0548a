import type { IncomingMessage } from "node:http";

/** Whether Node.js reads the body of a request that offers an upgrade: versions before 26 leave it on the connection. */
export const READS_OFFERED_BODIES = Number(process.versions.node.split(".")[0]) >= 26;

/** Whether a request has a body, by its head (RFC 9112, section 6.3). */
export const hasBody = ({ headers }: Pick<IncomingMessage, "headers">): boolean =>
  headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;
