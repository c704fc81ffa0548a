import type { Access } from "../access/access";
import type { PeerRequest } from "../cluster/rpc/signatures";
import type { RequestTrace } from "../support/measure";
import type { OutcomeFields } from "./audit-fields";

declare global {
  namespace Express {
    /** What this server knows about a request, in `response.locals`. */
    interface Locals {
      /** set by the request logger, the first middleware */
      request_id: string;
      /** of the client, as the nearest trusted load balancer or the socket tells it; set by the request logger */
      address: string;
      /** path of the matched route as declared, for metrics */
      route?: string;
      /** set by authentication; of another node's request, the client that it acts for */
      identity?: string;
      /** set by authentication; what the client may do */
      access?: Access;
      /** the verified claims, if another node has sent the request */
      peer?: PeerRequest;
      /** authenticated by the proxy's session cookie */
      browserSession?: boolean;
      /** of the WWW-Authenticate header, if it isn't the server's own */
      realm?: string;
      /** for the audit log: the caveat that refused a narrow token */
      refusedBy?: string;
      /** for the audit log: kind, code and message of the error that was answered */
      error?: { error: string; code: string; message?: string };
      /** what the request waits for, and where it runs; set by the request logger */
      trace?: RequestTrace;
      /** for the audit log: what was asked for and made */
      outcome?: OutcomeFields;
    }
  }
}
