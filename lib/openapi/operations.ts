/** The parts of the API, each with what it is for. */
export const TAGS = {
  "Root verbs": "Pull, list, logs, run, exec and remove, with one short request each",
  Runs: "Jobs and code that end with their request, and named volumes",
  Containers: "Containers as resources: list, inspect, change their state, logs, exec, statistics",
  "Managed containers": "Containers that are created first, started later, and changed",
  Files: "Upload and download files of containers",
  Terminals: "A shell in a container over a WebSocket",
  Proxy: "Requests to what a container serves",
  Images: "Images of all nodes",
  Cluster: "Members and their load",
  Access: "Narrow tokens and the audit log",
  Agents: "The Model Context Protocol",
  Server: "Health, version, metrics and documentation",
} as const;

export type Tag = keyof typeof TAGS;

/** The names of the operations, which generated clients use for their functions. They don't change. */
const OPERATIONS: Record<Tag, Record<string, string>> = {
  "Root verbs": {
    "head /*image": "pullImageByPath",
    "get /": "listAllContainers",
    "get /:id": "readLogs",
    "put /": "runContainer",
    "post /:id": "exec",
    "delete /:id": "removeContainerByForce",
  },
  Runs: {
    "post /run": "runOnce",
    "post /volume": "createVolume",
    "get /volumes": "listVolumes",
    "get /volumes/:name": "readVolume",
    "delete /volumes/:name": "removeVolume",
  },
  Containers: {
    "get /containers": "listContainers",
    "post /containers/run": "runService",
    "get /containers/:id": "inspectContainer",
    "delete /containers/:id": "removeContainer",
    "post /containers/:id/start": "startContainer",
    "post /containers/:id/stop": "stopContainer",
    "post /containers/:id/restart": "restartContainer",
    "post /containers/:id/pause": "pauseContainer",
    "post /containers/:id/unpause": "unpauseContainer",
    "post /containers/:id/rename": "renameContainer",
    "get /containers/:id/logs": "streamContainerLogs",
    "get /logs/search": "searchLogs",
    "post /containers/:id/exec": "execInContainer",
    "get /containers/:id/stats": "readContainerStats",
    "get /containers/:id/top": "listContainerProcesses",
  },
  "Managed containers": {
    "post /containers": "createManagedContainer",
    "patch /containers/:id": "changeManagedContainer",
    "patch /containers/:id/ports": "changeManagedContainerPorts",
    "get /containers/:id/status": "readContainerStatus",
  },
  Files: {
    "post /containers/:id/upload-zip": "uploadZip",
    "head /containers/:id/download": "checkFile",
    "get /containers/:id/download": "downloadFile",
    "post /containers/:id/download/ticket": "createFileTicket",
    "get /containers/:id/download-zip": "downloadFolder",
    "post /containers/:id/download-zip/ticket": "createFolderTicket",
    "get /containers/:id/files": "listFiles",
  },
  Terminals: { "get /ws/:id": "openTerminal", "post /ws/:id/ticket": "createTerminalTicket" },
  Proxy: {
    "get /proxy/:id": "findUpstream",
    "get /proxy/:id/*path": "proxyGet",
    "head /proxy/:id/*path": "proxyHead",
    "post /proxy/:id/*path": "proxyPost",
    "put /proxy/:id/*path": "proxyPut",
    "patch /proxy/:id/*path": "proxyPatch",
    "delete /proxy/:id/*path": "proxyDelete",
    "options /proxy/:id/*path": "proxyOptions",
  },
  Images: {
    "get /images": "listImages",
    "post /images/pull": "pullImage",
    "post /images/prune": "pruneImages",
    "delete /images/*image": "removeImage",
  },
  Cluster: { "get /nodes": "listNodes", "patch /nodes/:name": "changeNode" },
  Access: { "post /tokens": "createToken", "get /whoami": "whoAmI", "post /tokens/check": "checkToken", "get /audit": "readAudit" },
  Agents: { "post /mcp": "callMcp", "get /mcp": "openMcpStream", "post /mcp/messages": "sendMcpMessage" },
  Server: {
    "get /health": "readHealth",
    "get /healthz": "readEngineHealth",
    "get /version": "readVersion",
    "get /metrics": "readMetrics",
    "get /openapi.json": "readOpenApiDocument",
    "get /docs": "openSwaggerUi",
    "get /redoc": "openReDoc",
    "get /docs/:file": "readDocsFile",
    "get /console": "openConsole",
    "get /console/*page": "openConsolePage",
  },
};

const byRoute = new Map(
  Object.entries(OPERATIONS).flatMap(([tag, ids]) =>
    Object.entries(ids).map(([route, operationId]) => [route, { operationId, tag: tag as Tag }] as const),
  ),
);

/**
 * The name and the part of a route.
 * @throws Error for a route that the table lacks
 */
export function operationOf({ method, path }: { method: string; path: string }): { operationId: string; tag: Tag } {
  const found = byRoute.get(`${method} ${path}`);
  if (!found) throw new Error(`lib/openapi/operations.ts has no name for ${method} ${path}`);
  return found;
}
