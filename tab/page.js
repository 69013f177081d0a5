// The page of the tab: the programs of clients, the browser, requests by hand, and the buttons of the server.
import { Socket, browser, curlClient, nc, socketClient, urlClient } from "./clients.js";
import { Lesson } from "./lesson.js";
import { Stage, Terminal, pageOf } from "./stage.js";
import { Reader, byId, count, fromBytes, make, setText } from "./wire.js";

const stage = new Stage(binary => intoForm(binary));

// ------------------------------------------------------------------------------------------------- programs of clients

const GET = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
const REST = "TP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/** The programs of the lecture, and mistakes: a title, what is shown as the command, what runs.
 * @type {[string, string, (terminal: Terminal) => Promise<number>][]} */
const PROGRAMS = [
  ["Client with a socket", "runner/client socket", socketClient],
  ["Client with a URL", "runner/client url", urlClient],
  ["Say nothing", "nc localhost 9000", terminal => nc(terminal, [])],
  ["Leave without a word", "nc -z localhost 9000", leave],
  ["Half a request", "printf 'GET / HT' | nc localhost 9000", terminal => nc(terminal, ["GET / HT"])],
  [
    "Two pieces",
    "(printf 'GET / HT'; sleep 2; printf 'TP/1.1...') | nc localhost 9000",
    terminal => nc(terminal, ["GET / HT", 2000, REST]),
  ],
  [
    "Without Host",
    "printf 'GET / HTTP/1.1\\r\\n\\r\\n' | nc localhost 9000",
    terminal => nc(terminal, ["GET / HTTP/1.1\r\n\r\n"]),
  ],
  ["HTTP/3.0", "printf 'GET / HTTP/3.0...' | nc localhost 9000", terminal => nc(terminal, [GET.replace("1.1", "3.0")])],
  [
    "https:// by mistake",
    "curl -sS https://localhost:9000/",
    terminal => curlClient(terminal, { url: new URL("https://localhost:9000/") }),
  ],
  [
    "A path of 9 kilobytes",
    "curl -s http://localhost:9000/0000...",
    terminal => curlClient(terminal, { url: new URL(`http://localhost:9000/${"0".repeat(9000)}`) }),
  ],
  ["Never read", "a client that sends 500 requests and reads no response", neverRead],
  ["A hundred clients", "100 clients at once", hundred],
  ["Start the server twice", "runner/serve", terminal => stage.serveAgain([], terminal)],
];

/** @param {Terminal} terminal */
async function leave(terminal) {
  const socket = await terminal.machine.connect();
  if (socket) terminal.follow(socket);
  socket?.close();
  return socket ? 0 : 1;
}

/** @param {Terminal} terminal */
async function neverRead(terminal) {
  const socket = await terminal.machine.connect();
  if (!socket) return 1;
  terminal.follow(socket);
  socket.pause(true);
  socket.send(GET.repeat(500));
  await socket.untilEnd();
  return 0;
}

/** @param {Terminal} terminal */
async function hundred(terminal) {
  const ask = async () => {
    const socket = await terminal.machine.connect();
    const response = await socket?.request(GET);
    socket?.close();
    return response?.startsWith("HTTP/1.1 200 ");
  };
  const began = performance.now();
  const pages = (await Promise.all(Array.from({ length: 100 }, ask))).filter(isPage => isPage).length;
  terminal.print(`${pages} of 100 clients have a page, after ${Math.round(performance.now() - began)} ms\n`);
  return pages === 100 ? 0 : 1;
}

/** Runs a program in a terminal of its own. @param {string} command @param {(terminal: Terminal) => Promise<number>} client */
async function run(command, client) {
  const terminal = stage.terminal(command);
  const code = await terminal.run(client);
  if (code === 1 && !terminal.printed)
    terminal.print("nothing is listening on 127.0.0.1:9000\n  start the server first\n");
}

// ---------------------------------------------------------------------------------------------------------- the browser

/** Closes the connections of the page that is shown. */
let closePage = () => {};

/** Opens a page as a browser does. @param {string} address @returns {Promise<boolean>} whether a page came */
async function browse(address) {
  closePage();
  const terminal = stage.terminal(`browser ${address}`);
  const url = URL.canParse(address) ? new URL(address) : undefined;
  const page = url && (await browser(stage.machine, url, (socket, name) => terminal.follow(socket, name)));
  byId("frame").hidden = !page;
  if (page) {
    closePage = page.end;
    terminal.print(page.response.split("\r\n\r\n")[0]);
    byId("shown").srcdoc = pageOf(page.response);
  } else
    terminal.print(
      url
        ? "this site cannot be reached\n  start the server first\n"
        : "this is no address\n  http://localhost:9000/ is one\n",
    );
  terminal.end(page ? 0 : 1);
  return Boolean(page);
}

// -------------------------------------------------------------------------------------------------------------- by hand

/** The connection of the request by hand, and how many bytes of the text have been sent. @type {{ socket?: Socket, sent: number }} */
const hand = { sent: 0 };

/** The bytes that the person has typed, as a binary string. */
function typed() {
  const text = byId("typed").value;
  return fromBytes(new TextEncoder().encode(byId("crlf").checked ? text.replace(/\r?\n/g, "\r\n") : text));
}

/** Puts a request into the form, to be changed. @param {string} binary */
function intoForm(binary) {
  byId("hand-part").open = true;
  byId("crlf").checked = !/(?<!\r)\n/.test(binary);
  byId("typed").value = binary.replace(/\r\n/g, "\n");
  drawTyped();
  byId("typed").focus();
}

/** Says how much is typed and sent, after a change of the text or of what is sent. */
function drawTyped(sent = 0) {
  hand.sent = sent;
  const binary = typed();
  const reader = new Reader(false);
  reader.feed(binary);
  const part = reader.mode === "head" ? "No empty line ends the head yet" : "The body is not whole";
  const state = reader.isInside ? `${part}, so the server would wait.` : reader.complete ? "The request is whole." : "";
  setText(byId("typed-state"), `${count(binary.length, "byte")}${sent > 0 ? `, ${sent} of them sent` : ""}. ${state}`);
}

/** Sends the next bytes of what is typed, on a new connection if none is open. @param {number} most */
async function sendByHand(most) {
  const socket = await socketByHand();
  if (!socket) return;
  const binary = typed();
  const from = hand.sent < binary.length ? hand.sent : 0;
  const piece = binary.slice(from, from + most);
  socket.send(piece);
  drawTyped(from + piece.length);
}

async function socketByHand() {
  if (hand.socket && !hand.socket.end) return hand.socket;
  const terminal = stage.terminal("nc localhost 9000");
  const socket = await stage.machine.connect();
  hand.socket = socket;
  hand.sent = 0;
  if (!socket) {
    terminal.print("nothing is listening on 127.0.0.1:9000\n  start the server first\n");
    terminal.end(1);
    return undefined;
  }
  let printed = 0;
  terminal.follow(socket);
  byId("another").hidden = false;
  socket.changed = () => {
    terminal.print(socket.received.slice(printed));
    printed = socket.received.length;
    terminal.draw();
    if (socket === hand.socket) byId("another").hidden = socket.end !== "";
  };
  return socket;
}

// ------------------------------------------------------------------------------------------------------------ the start

function save() {
  const url = URL.createObjectURL(new Blob([stage.program], { type: "application/wasm" }));
  make("a", { href: url, download: "hello-server.wasm" }).click();
  URL.revokeObjectURL(url);
}

/** @param {File} file */
async function choose(file) {
  const problem = await stage.change(new Uint8Array(await file.arrayBuffer()));
  setText(byId("status"), problem || `${file.name} is loaded.`);
}

function setLine() {
  setText(byId("delay-shown"), `${byId("delay").value} ms`);
  stage.machine.tell({ do: "line", delay: Number(byId("delay").value), piece: Number(byId("pieces").value) });
}

/** Listens to an element of the page. @param {string} id @param {string} kind @param {() => void} action */
function on(id, kind, action) {
  byId(id).addEventListener(kind, (/** @type {Event} */ event) => {
    if (kind === "submit") event.preventDefault();
    action();
  });
}

const TOO_OLD =
  "This browser is too old to run the server. Update it, or take a Chrome, Edge, Firefox or Safari of 2023 or later.";

async function main() {
  on("run", "submit", () => stage.serve(byId("options").value.split(/\s+/).filter(Boolean)));
  on("stop", "click", () => stage.stop());
  on("kill", "click", () => stage.kill());
  on("browse", "submit", () => browse(byId("url").value));
  on("close-browser", "click", () => {
    closePage();
    byId("frame").hidden = true;
  });
  on("hand", "submit", () => sendByHand(Infinity));
  on("send-piece", "click", () => sendByHand(Number(byId("piece").value) || 1));
  on("another", "click", () => {
    hand.socket = undefined;
    sendByHand(Infinity);
  });
  for (const id of ["typed", "crlf"]) on(id, "input", () => drawTyped());
  for (const id of ["delay", "pieces"]) on(id, "input", setLine);
  on("save", "click", save);
  on("file", "change", () => byId("file").files[0] && choose(byId("file").files[0]));
  on("clear", "click", () => stage.wire.clear());
  on("captions", "change", () => (stage.wire.captions = byId("captions").checked));
  for (const [title, command, client] of PROGRAMS) {
    const button = make("button", { type: "button" }, title);
    button.addEventListener("click", () => run(command, client));
    byId("programs").append(button);
  }
  drawTyped();
  // The lesson can be read at once.
  new Lesson(stage, browse);
  const problem = "DecompressionStream" in window ? await stage.open() : TOO_OLD;
  setText(byId("status"), problem || "The server is ready. Start it, or let the lesson do it.");
  byId("status").className = problem ? "status problem" : "status";
  if (!problem) stage.drawState();
}

main();
