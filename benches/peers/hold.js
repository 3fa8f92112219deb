// Server or client on Node's net, as its documentation writes them: hold.js server PORT | hold.js client PORT COUNT.
const net = require("net");
const [role, port, count] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
const held = [];

function next() {
  if (held.length >= count) return;
  const socket = net.connect(port, "127.0.0.1", next);
  socket.on("error", () => {});
  held.push(socket);
}

if (role === "server") {
  net.createServer((socket) => socket.on("error", () => {})).listen({ port, host: "127.0.0.1", backlog: 4096 });
} else {
  // As many under way at once as one lane of c1m-top.
  for (let i = 0; i < 256; i++) next();
  setInterval(() => {}, 3600000);
}
