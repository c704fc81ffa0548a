// Runs in containers of the tests. Port 80 describes the received request as JSON; port 81 responds with the exact bytes that the path encodes.
const http = require("node:http");
const net = require("node:net");
const { createHash } = require("node:crypto");

// A page with links. Its script puts the responses to its own requests into the title.
const PAGES = {
  "/page/": ["text/html", '<link rel="stylesheet" href="style.css"><body><script src="../script.js"></script>'],
  "/page/style.css": ["text/css", "body { color: rgb(1, 2, 3) }"],
  "/script.js": [
    "text/javascript",
    `const text = (url, options) => fetch(url, options).then((answer) => answer.text(), () => "refused by the browser");
    const asked = [text("data", { method: "POST", headers: { "X-Forward-Authorization": "true" } }), text("/version")];
    Promise.all(asked).then((got) => { document.title = JSON.stringify(got) });`,
  ],
};

let open = 0;
const web = http.createServer({ keepAliveTimeout: 60_000, requestTimeout: 0 }, (request, response) => {
  const url = new URL(request.url, "http://x");
  const size = Number(url.searchParams.get("size") ?? 0);
  if (url.pathname === "/bytes") {
    response.writeHead(200, url.searchParams.has("chunked") ? {} : { "Content-Length": size });
    return fill(response, size);
  }
  if (url.pathname === "/events") {
    response.writeHead(200, { "Content-Type": "text/event-stream" });
    response.flushHeaders();
    // Each received chunk is sent as an event at once.
    request.on("data", (line) => response.write(`data: ${String(line).trim()}\n\n`));
    return request.on("end", () => response.end());
  }
  // Redirects as a server does that knows only its own address.
  if (url.pathname === "/redirect") return response.writeHead(302, { Location: `http://${request.headers.host}/page/` }).end();
  if (url.pathname === "/login") return response.writeHead(302, { Location: "/page/" }).end();
  if (url.pathname === "/slow") return; // never answers
  if (url.pathname === "/endless") {
    response.writeHead(200, url.searchParams.has("length") ? { "Content-Length": 1e9 } : {});
    return void response.write("begun\n");
  }
  if (url.pathname === "/sink") return request.resume().on("end", () => response.end("ok"));
  if (PAGES[url.pathname]) {
    const [type, text] = PAGES[url.pathname];
    return response.writeHead(200, { "Content-Type": type }).end(text);
  }
  if (url.pathname === "/open") return response.end(String(open));
  if (url.pathname === "/exit") return process.exit(1);
  if (url.pathname === "/status") {
    response.writeHead(Number(url.searchParams.get("code")), "As It Is", { "X-Own": "kept", Location: "http://elsewhere.example/" });
    return response.end("own body");
  }
  const hash = createHash("sha256");
  let bytes = 0;
  request.on("data", (chunk) => {
    hash.update(chunk);
    bytes += chunk.length;
  });
  request.on("end", () => {
    const { method, url: target, rawHeaders, rawTrailers } = request;
    response.setHeader("Content-Type", "application/json");
    response.end(JSON.stringify({ method, url: target, rawHeaders, rawTrailers, bytes, sha256: hash.digest("hex") }));
  });
});
web.on("checkContinue", (request, response) => {
  if (request.url.startsWith("/refuse")) {
    response.writeHead(417, { Connection: "close" });
    return response.end("no");
  }
  response.writeContinue();
  web.emit("request", request, response);
});
web.on("connection", (socket) => {
  open += 1;
  socket.on("close", () => (open -= 1)).on("error", () => undefined);
});
web.on("upgrade", (request, socket) => {
  // node:http leaves upgraded connections half open.
  socket.on("end", () => socket.end());
  socket.on("error", () => undefined);
  if (request.url.startsWith("/no")) return socket.end("HTTP/1.1 403 Not Here\r\nContent-Length: 4\r\n\r\nnope");
  // As Tornado and Gorilla do.
  const { origin, host } = request.headers;
  if (request.url.startsWith("/same-origin") && new URL(origin).host !== host) return socket.end("HTTP/1.1 403 Cross Origin\r\n\r\n");
  const key = `${request.headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`;
  const accept = createHash("sha1").update(key).digest("base64");
  const head = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade", `Sec-WebSocket-Accept: ${accept}`];
  socket.write(`${head.join("\r\n")}\r\n\r\n`);
  socket.on("data", (bytes) => socket.write(unmasked(bytes)));
});
web.listen(80);

// Echoes client frames (masked) as server frames (unmasked); only payloads up to 125 bytes.
function unmasked(bytes) {
  const frames = [];
  for (let at = 0; at + 6 <= bytes.length; ) {
    const length = bytes[at + 1] & 127;
    const mask = bytes.subarray(at + 2, at + 6);
    const payload = Buffer.from(bytes.subarray(at + 6, at + 6 + length)).map((byte, index) => byte ^ mask[index % 4]);
    frames.push(Buffer.from([bytes[at], length]), payload);
    at += 6 + length;
  }
  return Buffer.concat(frames);
}

const PIECE = Buffer.alloc(65_536, "0123456789abcdef");
function fill(response, size) {
  let remaining = size;
  const go = () => {
    while (remaining > 0) {
      const piece = remaining < PIECE.length ? PIECE.subarray(0, remaining) : PIECE;
      remaining -= piece.length;
      if (!response.write(piece)) return response.once("drain", go);
    }
    response.end();
  };
  go();
}

// GET /<base64url of the response>: sends these bytes, with `*100KB*` replaced by that many; then closes the connection unless the path ends in "/keep".
net
  .createServer((socket) => {
    let got = "";
    socket.on("error", () => undefined);
    socket.on("data", (bytes) => {
      got += bytes.toString("latin1");
      if (!got.includes("\r\n\r\n")) return;
      const [, , answer, keep] = /^(\S+) \/([\w-]*)(\/keep)?/.exec(got) ?? [];
      got = "";
      const text = Buffer.from(answer ?? "", "base64url").toString("latin1");
      socket.write(text.replace("*100KB*", "x".repeat(100_000)), "latin1");
      if (!keep) socket.end();
    });
  })
  .listen(81);
