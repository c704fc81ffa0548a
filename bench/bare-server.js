// What node:http alone can do: a server that gives prepared answers, or one that relays to another server over kept connections.
// Usage: bare-server.js HOST PORT answers FILE | bare-server.js HOST PORT relay URL
// FILE is a JSON object: for each path the headers and the body of its answer.
const { readFileSync } = require("node:fs");
const http = require("node:http");

const [host, port, kind, source] = process.argv.slice(2);

function answering(file) {
  const answers = JSON.parse(readFileSync(file, "utf8"));
  for (const answer of Object.values(answers)) answer.body = Buffer.from(answer.body);
  return ({ url }, response) => {
    const answer = answers[url];
    response.writeHead(answer ? 200 : 404, answer?.headers).end(answer?.body);
  };
}

function relaying(url) {
  const { hostname, port: upstreamPort } = new URL(url);
  const agent = new http.Agent({ keepAlive: true });
  return (request, response) => {
    const { method, url: path, headers } = request;
    const upstream = http.request({ host: hostname, port: upstreamPort, method, path, headers, agent }, (answer) => {
      response.writeHead(answer.statusCode, answer.rawHeaders);
      answer.pipe(response);
    });
    upstream.on("error", () => response.destroy());
    request.pipe(upstream);
  };
}

http.createServer(kind === "relay" ? relaying(source) : answering(source)).listen(Number(port), host);
