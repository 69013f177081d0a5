// The clients of the tab, and the worker in which the server runs.
//
// The server and the pretended network are in a Web Worker (worker.js). This side starts it, calls it, and speaks with it in
// messages. What is said is a binary string, as in wire.js: one character for each byte.
import { Reader, fromBytes, toBytes } from "./wire.js";

/** Where clients connect, unless they are told otherwise. */
const HOST = "127.0.0.1";
const PORT = 9000;

/** After so many milliseconds without a turn of the network, the server is called busy. */
const BUSY = 2000;

/** The worker with the server in it, and all connections to it. */
export class Machine {
  /** @type {Map<number, Socket>} */
  sockets = new Map();
  last = { socket: 0, process: 0, heard: performance.now() };
  /** @type {((event: any) => void)[]} those who wait for the answer to `load` or `measure`, in order */
  waiting = [];
  isBusy = false;

  /**
   * @param {string} source of the worker
   * @param {(event: any) => void} on gets what no client waits for: `output`, `exited`, `asked`, `connected`, `busy`
   */
  constructor(source, on) {
    this.on = on;
    /** @type {Map<number, Socket>} */
    this.sockets = new Map();
    this.last = { socket: 0, process: 0, heard: performance.now() };
    /** @type {Array<(event: any) => void>} those who wait for the answer to `load` or `measure` */
    this.waiting = [];
    // A page from a disk may load no second file. A worker from a Blob needs none.
    this.address = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    this.worker = new Worker(this.address);
    this.worker.onmessage = ({ data }) => this.take(data);
    this.worker.onerror = ({ message }) => on({ event: "lost", message });
    this.watch = setInterval(() => this.look(), 500);
  }

  /** Ends the worker at once, and with it all that runs there. */
  end() {
    clearInterval(this.watch);
    this.worker.terminate();
    URL.revokeObjectURL(this.address);
    for (const socket of this.sockets.values()) socket.endWith("the server has been ended");
    this.sockets.clear();
  }

  /** @param {object} message @param {Transferable[]} moved */
  tell(message, moved = []) {
    this.worker.postMessage(message, moved);
  }

  /** @param {object} message @returns {Promise<any>} the next `loaded`, `unfit` or `measured` */
  ask(message) {
    this.tell(message);
    return new Promise(resolve => this.waiting.push(resolve));
  }

  /** @param {any} data */
  take(data) {
    this.last.heard = performance.now();
    if (this.isBusy) this.on({ event: "busy", isBusy: (this.isBusy = false) });
    if (["loaded", "unfit", "measured"].includes(data.event)) return this.waiting.shift()?.(data);
    const socket = this.sockets.get(data.connection);
    if (socket) socket.take(data);
    if (data.connection === undefined || data.event === "connected") this.on(data);
  }

  /** Asks for a sign of life. A component that computes for ever gives none. */
  look() {
    if (performance.now() - this.last.heard < BUSY) {
      if (this.waiting.length === 0) this.ask({ do: "measure" });
    } else if (!this.isBusy) this.on({ event: "busy", isBusy: (this.isBusy = true) });
  }

  /** Loads a component. @param {Uint8Array} component @returns {Promise<string>} why it cannot run, or "" */
  async load(component) {
    // For tests: a browser with JavaScript Promise Integration does as if it had none.
    const interpret = location.search === "?interpreter";
    const answer = await this.ask({ do: "load", component, interpret });
    return answer.event === "unfit" ? answer.sentence : "";
  }

  /** Starts the component. @param {string[]} words of its command line @returns {number} the process */
  start(words) {
    const process = ++this.last.process;
    this.tell({ do: "start", process, arguments: words });
    return process;
  }

  /** Connects. @param {string} [host] @param {number} [port] @returns {Promise<Socket | undefined>} undefined if nothing listens there */
  async connect(host = HOST, port = PORT) {
    const socket = new Socket(this, ++this.last.socket);
    this.sockets.set(socket.id, socket);
    this.tell({ do: "connect", connection: socket.id, host, port });
    return (await socket.isConnected) ? socket : undefined;
  }
}

/** A connection, seen by its client. */
export class Socket {
  peer = "";
  /** All that the client has sent and received, and why the connection ended. */
  sent = "";
  received = "";
  end = "";
  /** @type {() => void} is called after every change */
  changed = () => {};
  /** @type {(() => void)[]} */
  waiting = [];
  /** @type {(isConnected: boolean) => void} */
  tellConnected = () => {};
  /** @type {Promise<boolean>} */
  isConnected = new Promise(resolve => (this.tellConnected = resolve));

  /** @param {Machine} machine @param {number} id */
  constructor(machine, id) {
    this.machine = machine;
    this.id = id;
  }

  /** @param {any} data */
  take(data) {
    if (data.event === "connected") {
      this.peer = data.peer;
      this.tellConnected(true);
    }
    if (data.event === "refused") this.endWith("nothing listens there");
    if (data.event === "received") this.received += fromBytes(data.bytes);
    if (data.event === "ended") this.endWith("closed by the server");
    if (data.event === "reset") this.endWith("reset by the server");
    this.change();
  }

  change() {
    this.changed();
    for (const wake of this.waiting.splice(0)) wake();
  }

  /** Sends these bytes. @param {string} binary */
  send(binary) {
    if (this.end) return;
    this.sent += binary;
    const bytes = toBytes(binary);
    this.machine.tell({ do: "send", connection: this.id, bytes }, [bytes.buffer]);
    this.change();
  }

  /** Closes the connection. */
  close() {
    if (this.end) return;
    this.machine.tell({ do: "leave", connection: this.id });
    this.endWith("closed by the client");
  }

  /** Stops reading, or goes on. @param {boolean} isPaused */
  pause(isPaused) {
    this.machine.tell({ do: isPaused ? "pause" : "resume", connection: this.id });
  }

  /** @param {string} why */
  endWith(why) {
    if (this.end) return;
    this.end = why;
    this.tellConnected(false);
    this.machine.tell({ do: "leave", connection: this.id });
    this.machine.sockets.delete(this.id);
    this.change();
  }

  /** Waits until the condition holds, or the connection ends. @param {() => boolean} condition */
  async until(condition) {
    while (!this.end && !condition()) await new Promise(resolve => this.waiting.push(() => resolve(0)));
  }

  /** Waits for the end of the connection. @returns {Promise<string>} all that came */
  async untilEnd() {
    await this.until(() => false);
    return this.received;
  }

  /** Sends a request, and waits for the whole response. @param {string} request @returns {Promise<string>} the response */
  async request(request) {
    const [from, reader] = [this.received.length, new Reader(true, [request.split(" ")[0]])];
    let at = from;
    this.send(request);
    await this.until(() => {
      reader.feed(this.received.slice(at));
      at = this.received.length;
      return reader.complete > 0;
    });
    return this.received.slice(from);
  }
}

// ------------------------------------------------------------------------------------------------------- the programs

/**
 * Where a program of a client runs: it prints, and its connections are shown. A program returns its exit code.
 * @typedef {{ machine: Machine, print: (text: string) => void, follow: (socket: Socket, name?: string) => void }} Console
 * @typedef {(terminal: Console) => Promise<number>} Client
 */

/** The first words of a TLS connection, as `curl https://` says them: a client hello without extensions. */
const CLIENT_HELLO = `\x16\x03\x01\x00\x2f\x01\x00\x00\x2b\x03\x03${"hello-server in a tab, no secret!".slice(0, 32)}\x00\x00\x02\x13\x01\x01\x00\x00\x00`;

/** The body of a response. @param {string} response */
export const bodyOf = response => response.slice(response.indexOf("\r\n\r\n") + 4);

/** The value of a field of a head. @param {string} head @param {string} name */
export const fieldOf = (head, name) =>
  RegExp(`^${name}:[ \\t]*(.*?)[ \\t]*$`, "im").exec(head.split("\r\n\r\n")[0])?.[1] ?? "";

/** Connects, and says so if nothing listens. @param {Console} terminal @param {string} program @param {string} advice */
async function connect(terminal, program, advice) {
  const connected = await terminal.machine.connect();
  if (connected) terminal.follow(connected);
  else terminal.print(`${program}: nothing is listening on ${HOST}:${PORT}\n  ${advice}\n`);
  return connected;
}

const START = "start the server first, in another terminal: runner/serve";

/** The lecture's first client: three things, in order. @param {Console} terminal @returns {Promise<number>} the exit code */
export async function socketClient(terminal) {
  const connected = await connect(terminal, "socket_client", START);
  if (!connected) return 1;
  connected.send("GET http://127.0.0.1/romeo.txt HTTP/1.0\r\n\r\n");
  terminal.print(await connected.untilEnd());
  return 0;
}

/** The lecture's second client. @param {Console} terminal */
export async function urlClient(terminal) {
  const connected = await connect(terminal, "url_client", START);
  if (!connected) return 1;
  const fields = `Host: ${HOST}:${PORT}\r\nUser-Agent: url_client\r\nConnection: close`;
  terminal.print(bodyOf(await connected.request(`GET /romeo.txt HTTP/1.1\r\n${fields}\r\n\r\n`)));
  return 0;
}

/** `curl`. @param {Console} terminal @param {{ url: URL, cookie?: string, head?: boolean }} options */
export async function curlClient(terminal, { url, cookie, head }) {
  const connected = await terminal.machine.connect(HOST, Number(url.port || 80));
  if (!connected) {
    terminal.print(`curl: (7) Failed to connect to ${url.hostname} port ${url.port}\n`);
    return 7;
  }
  terminal.follow(connected);
  if (url.protocol === "https:") {
    connected.send(CLIENT_HELLO);
    await connected.until(() => connected.received !== "");
    connected.close();
    terminal.print("curl: (35) the server does not speak TLS\n");
    return 35;
  }
  const fields = [
    `Host: ${url.host}`,
    "User-Agent: curl/8.14.1",
    "Accept: */*",
    ...(cookie ? [`Cookie: ${cookie}`] : []),
  ];
  const response = await connected.request(
    `GET ${url.pathname}${url.search} HTTP/1.1\r\n${fields.join("\r\n")}\r\n\r\n`,
  );
  connected.close();
  terminal.print(head ? response : bodyOf(response));
  return 0;
}

/** `nc`: says these bytes, with pauses in milliseconds between them, and prints what comes. @param {Console} terminal
 * @param {Array<string | number>} steps */
export async function nc(terminal, steps) {
  const connected = await terminal.machine.connect();
  if (!connected) return 1;
  terminal.follow(connected);
  for (const step of steps) {
    if (typeof step === "string") connected.send(step);
    else await new Promise(resolve => setTimeout(resolve, step));
  }
  terminal.print(await connected.untilEnd());
  return 0;
}

/**
 * A browser, as Chromium does it: asks for the page, then by itself for the icon, and keeps a spare connection that says nothing.
 * @param {Machine} machine @param {URL} url @param {(socket: Socket, name: string) => void} follow
 * @returns {Promise<{ response: string, end: () => void } | undefined>} the page, and what closes its connections
 */
export async function browser(machine, url, follow) {
  const port = Number(url.port || 80);
  const first = await machine.connect(HOST, port);
  if (!first) return undefined;
  follow(first, "the browser");
  const common = `Host: ${url.host}\r\nConnection: keep-alive\r\nUser-Agent: ${navigator.userAgent}`;
  const accept = "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
  const response = await first.request(`GET ${url.pathname}${url.search} HTTP/1.1\r\n${common}\r\n${accept}\r\n\r\n`);
  const icon = `GET /favicon.ico HTTP/1.1\r\n${common}\r\nAccept: image/*\r\nReferer: ${url.href}\r\n\r\n`;
  // A server may close after the first response; the browser then connects once more.
  const second = first.end ? await machine.connect(HOST, port) : first;
  if (second && second !== first) follow(second, "the browser, for the icon");
  await second?.request(icon);
  const spare = await machine.connect(HOST, port);
  if (spare) follow(spare, "the browser's spare connection");
  return { response, end: () => [first, second, spare].forEach(each => each?.close()) };
}
