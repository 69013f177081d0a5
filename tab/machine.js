// The pretended machine: a network between the clients in the page and the processes, and the surroundings of a
// process: sockets, streams, clocks, `poll` and a command line. The network loses nothing, and is as slow as its `line`
// says.
import { Err } from "./component.js";

/** The end of a process by `exit`. */
export class Exit extends Error {
  /** @param {number} code */
  constructor(code) {
    super(`exit ${code}`);
    this.code = code;
  }
}

/** Where a component may listen: what `runner/serve` grants. */
const GRANTED = ["127.0.0.1:9000", "[::1]:9000"];

/** How many bytes the system keeps for each direction of a connection: unless a socket says more, and at most. */
const BUFFER = 64 * 1024;
const LARGEST_BUFFER = 208 * 1024;

/** The most bytes that one call reads or writes. */
const MOST = 64 * 1024;

/** For how many milliseconds a component may find something ready until messages of the page have a turn. */
const LONGEST_TURN = 8;

/** The longest time that `setTimeout` takes, in milliseconds. */
const LONGEST_TIMEOUT = 2 ** 31 - 1;

/** Calls `next` with a value: at once, if it is there. @param {any} value @param {(value: any) => any} next */
const then = (value, next) => (value instanceof Promise ? value.then(next) : next(value));

const channel = new MessageChannel();
/** @type {(() => void)[]} */
const afterTurns = [];
channel.port1.onmessage = () => afterTurns.shift()?.();

/**
 * Calls `next` after some milliseconds. After 0, all messages that have come are served first; `setTimeout` would take
 * 4.
 */
function after(/** @type {number} */ delay, /** @type {() => void} */ next) {
  if (delay > 0) return setTimeout(next, Math.min(delay, LONGEST_TIMEOUT));
  afterTurns.push(next);
  channel.port2.postMessage(null);
  return undefined;
}

/**
 * Takes the first bytes out of a list of pieces.
 * @param {Uint8Array[]} pieces
 * @param {number} most
 */
function takeBytes(pieces, most) {
  const taken = [];
  for (let left = most; left > 0 && pieces.length > 0; left -= taken[taken.length - 1].length) {
    taken.push(pieces[0].subarray(0, left));
    if (pieces[0].length <= left) pieces.shift();
    else pieces[0] = pieces[0].subarray(left);
  }
  if (taken.length === 1) return taken[0];
  const bytes = new Uint8Array(taken.reduce((size, piece) => size + piece.length, 0));
  taken.reduce((at, piece) => (bytes.set(piece, at), at + piece.length), 0);
  return bytes;
}

/**
 * One direction of a connection. Bytes that one end writes wait in its send buffer, are under way on the line, and have
 * arrived in the receive buffer of the other end until they are taken out. A full receive buffer stops the bytes behind
 * it.
 */
export class Pipe {
  /**
   * @param {{ delay: number, piece: number }} line
   * @param {() => void} onArrival when bytes, the end or a reset arrive
   */
  constructor(line, onArrival) {
    this.line = line;
    this.onArrival = onArrival;
    this.onRoom = () => {};
    /** @type {Uint8Array[]} */
    this.waiting = [];
    this.waitingSize = 0;
    /** @type {{ at: number, what: Uint8Array | "end" | "reset" }[]} */
    this.underWay = [];
    this.underWaySize = 0;
    /** @type {Uint8Array[]} */
    this.arrived = [];
    this.arrivedSize = 0;
    /** @type {"end" | "reset" | undefined} what has arrived behind all bytes */
    this.last = undefined;
    this.sendLimit = BUFFER;
    this.receiveLimit = BUFFER;
    /** Whether the connection is made, whether the first end writes no more, and whether that is on its way. */
    this.isOpen = true;
    this.isClosed = false;
    this.isLastSent = false;
    this.isMoving = false;
  }

  /** How many bytes may be written: none while more than the send buffer holds is written already, and in flight. */
  get room() {
    return this.waitingSize < this.sendLimit ? MOST : 0;
  }

  /** @param {Uint8Array} bytes */
  write(bytes) {
    if (this.isClosed || bytes.length === 0) return;
    this.waiting.push(bytes);
    this.waitingSize += bytes.length;
    this.move();
  }

  /** The first end writes no more. */
  finish() {
    this.isClosed = true;
    this.move();
  }

  /** The first end is gone. What it has not sent is lost. */
  reset() {
    this.forget();
    this.isLastSent = true;
    this.send("reset");
  }

  /** The other end is gone. */
  forget() {
    this.isClosed = true;
    this.waiting = [];
    this.waitingSize = 0;
  }

  /** Sends as much as the other end has room for. */
  move() {
    if (this.isMoving || !this.isOpen) return;
    this.isMoving = true;
    for (let room = 1; this.waitingSize > 0 && room > 0;) {
      room = this.receiveLimit - this.arrivedSize - this.underWaySize;
      const bytes = takeBytes(this.waiting, Math.min(room, this.line.piece || room));
      this.waitingSize -= bytes.length;
      this.underWaySize += bytes.length;
      if (bytes.length > 0) this.send(bytes);
    }
    this.isMoving = false;
    if (this.isClosed && this.waitingSize === 0 && !this.isLastSent) {
      this.isLastSent = true;
      this.send("end");
    }
    this.onRoom();
  }

  /** @param {Uint8Array | "end" | "reset"} what */
  send(what) {
    const { delay, piece } = this.line;
    if (delay === 0 && piece === 0 && this.underWay.length === 0) return this.arrive(what);
    // Nothing overtakes what is under way, also when the delay has become shorter.
    const at = Math.max(performance.now() + delay, this.underWay.at(-1)?.at ?? 0);
    if (this.underWay.push({ at, what }) === 1) this.travel();
  }

  /** Lets what is under way arrive, each in a turn of its own, so that a read finds one piece. */
  travel() {
    after(this.underWay[0].at - performance.now(), () => {
      for (const { what } of this.underWay.splice(0, 1)) this.arrive(what);
      if (this.underWay.length > 0) this.travel();
    });
  }

  /** @param {Uint8Array | "end" | "reset"} what */
  arrive(what) {
    if (typeof what === "string") {
      this.last = what;
    } else {
      this.underWaySize -= what.length;
      this.arrived.push(what);
      this.arrivedSize += what.length;
    }
    this.onArrival();
  }

  /** Throws away the bytes that have arrived, and returns how many these were. */
  discard() {
    const size = this.arrivedSize;
    this.arrived = [];
    this.arrivedSize = 0;
    return size;
  }

  /** Takes out bytes that have arrived. @param {number} most */
  take(most) {
    const bytes = takeBytes(this.arrived, most);
    this.arrivedSize -= bytes.length;
    this.move();
    return bytes;
  }
}

/** A connection between a client in the page and a socket of a process. */
class Connection {
  /** @param {Network} network @param {number} number @param {string} peer */
  constructor(network, number, peer) {
    this.network = network;
    this.number = number;
    this.peer = peer;
    /** @type {Process | undefined} */
    this.process = undefined;
    this.toServer = new Pipe(network.line, () => this.serverHears());
    this.toServer.isOpen = false;
    this.toClient = new Pipe(network.line, () => this.clientHears());
    this.toClient.onRoom = () => this.process?.wake();
    /** What the client does, and what it knows. */
    this.isPaused = false;
    this.hasLeft = false;
    this.hasEnded = false;
    /** Whether the server's end is closed. */
    this.isClosed = false;
  }

  serverHears() {
    if (this.toServer.last === "reset") this.toClient.forget();
    else if (this.isClosed && this.toServer.arrivedSize > 0) this.close();
    this.process?.wake();
  }

  clientHears() {
    const { network, number, toClient, toServer } = this;
    if (this.hasLeft) {
      if (toClient.arrivedSize > 0) this.leave();
    } else if (toClient.last === "reset") {
      if (network.connections.delete(number)) network.report({ event: "reset", connection: number });
    } else if (!this.isPaused) {
      // A copy, because a part of a buffer would take all of the buffer along.
      const bytes = toClient.take(Infinity).slice();
      if (bytes.length > 0) network.report({ event: "received", connection: number, bytes });
      if (toClient.last !== "end" || this.hasEnded) return;
      this.hasEnded = true;
      network.report({ event: "ended", connection: number });
      if (toServer.isClosed) network.connections.delete(number);
    }
  }

  /** The client stops or goes on reading. @param {boolean} isPaused */
  pause(isPaused) {
    this.isPaused = isPaused;
    this.clientHears();
  }

  /** The client closes its end. As in TCP, bytes that the client has not read, or that still come, make it a reset. */
  leave() {
    this.hasLeft = true;
    this.network.connections.delete(this.number);
    if (this.toClient.discard() === 0) return this.toServer.finish();
    this.toClient.forget();
    this.toServer.reset();
  }

  /** The server closes its end, by the same rule. */
  close() {
    this.isClosed = true;
    if (this.toServer.discard() === 0) return this.toClient.finish();
    this.toServer.forget();
    this.toClient.reset();
  }
}

/** The network of the machine, and the clients on it. */
export class Network {
  /** @param {(event: any) => void} report tells the page */
  constructor(report) {
    this.report = report;
    /** For both directions: milliseconds, and the most bytes that travel together, or 0. */
    this.line = { delay: 0, piece: 0 };
    /** @type {Map<string, TcpSocket>} the sockets that are bound, by their addresses */
    this.bound = new Map();
    /** @type {Map<number, Connection>} the connections of the clients */
    this.connections = new Map();
    this.port = 49_999;
  }

  /** @param {number} number @param {string} host @param {number} port */
  connect(number, host, port) {
    this.port = this.port === 65_535 ? 50_000 : this.port + 1;
    const name = host.includes(":") ? `[${host}]` : host;
    const connection = new Connection(this, number, `${name}:${this.port}`);
    this.connections.set(number, connection);
    this.later(() => {
      const listener = this.bound.get(`${name}:${port}`);
      if (listener?.state === "listening") listener.admit(connection);
      else this.refuse(connection);
    });
  }

  /** @param {Connection} connection */
  refuse({ number }) {
    this.connections.delete(number);
    this.later(() => this.report({ event: "refused", connection: number }));
  }

  /** Does something at the other end of the line. @param {() => void} what */
  later(what) {
    if (this.line.delay > 0) after(this.line.delay, what);
    else what();
  }
}

/** Something to wait for. */
class Pollable {
  /** @param {Process} process @param {() => boolean} isReady @param {number} deadline in milliseconds */
  constructor(process, isReady, deadline = Infinity) {
    this.process = process;
    this.isReady = isReady;
    this.deadline = deadline;
  }

  ready() {
    return this.isReady();
  }

  block() {
    return this.process.poll([this]);
  }
}

class InputStream {
  /** @param {Process} process @param {Pipe} pipe */
  constructor(process, pipe) {
    this.process = process;
    this.pipe = pipe;
  }

  /** @param {bigint} length */
  read(length) {
    const { pipe } = this;
    if (pipe.arrivedSize > 0) return pipe.take(Math.min(Number(length), MOST));
    if (!pipe.last) return new Uint8Array();
    if (pipe.last === "end") return new Err({ tag: "closed" });
    // A reset is an error once. The error itself, a resource, says no more than that.
    pipe.last = "end";
    return new Err({ tag: "last-operation-failed", value: {} });
  }

  subscribe() {
    return new Pollable(this.process, () => this.pipe.arrivedSize > 0 || this.pipe.last !== undefined);
  }
}

class OutputStream {
  /** @param {Process} process @param {{ room: number, isClosed: boolean, write: (bytes: Uint8Array) => void }} sink */
  constructor(process, sink) {
    this.process = process;
    this.sink = sink;
    this.permitted = 0;
  }

  checkWrite() {
    this.permitted = this.sink.room;
    return this.flush() ?? BigInt(this.permitted);
  }

  /** @param {Uint8Array} bytes @returns {Err | undefined} */
  write(bytes) {
    if (bytes.length > this.permitted) throw new Error("more bytes are written than `check-write` has permitted");
    this.permitted = 0;
    this.sink.write(bytes);
    return this.flush();
  }

  /** Everything is sent as soon as it can be. */
  flush() {
    return this.sink.isClosed ? new Err({ tag: "closed" }) : undefined;
  }

  blockingFlush() {
    return then(this.subscribe().block(), () => this.flush());
  }

  /** @param {Uint8Array} bytes */
  blockingWriteAndFlush(bytes) {
    return then(this.subscribe().block(), () => {
      const permitted = this.checkWrite();
      return permitted instanceof Err ? permitted : (this.write(bytes) ?? this.blockingFlush());
    });
  }

  subscribe() {
    return new Pollable(this.process, () => this.sink.isClosed || this.sink.room > 0);
  }
}

/** @param {{ tag: string, value: any }} address */
function addressText({ tag, value: { address, port } }) {
  if (tag === "ipv4") return `${address.join(".")}:${port}`;
  const groups = address.map((/** @type {number} */ group) => group.toString(16)).join(":");
  // A URL has the short form, such as [::1].
  return `${new URL(`http://[${groups}]`).hostname}:${port}`;
}

/** @param {string} text with one of the two addresses on this network: 127.0.0.1:9000, [::1]:9000 */
function addressOf(text) {
  const port = Number(text.slice(text.lastIndexOf(":") + 1));
  if (!text.startsWith("[")) return { tag: "ipv4", value: { port, address: [127, 0, 0, 1] } };
  return { tag: "ipv6", value: { port, "flow-info": 0, "address": [0, 0, 0, 0, 0, 0, 0, 1], "scope-id": 0 } };
}

class TcpSocket {
  /** @param {Process} process @param {string} family */
  constructor(process, family) {
    this.process = process;
    this.family = family;
    /** @type {"new" | "binding" | "bound" | "preparing" | "listening" | "connected"} */
    this.state = "new";
    this.address = "";
    /** @type {Connection | undefined} */
    this.connection = undefined;
    /** @type {Connection[]} connections that wait to be accepted, and clients for which the backlog has no room */
    this.backlog = [];
    /** @type {Connection[]} */
    this.outside = [];
    this.backlogSize = 128;
    this.sendLimit = BUFFER;
    this.receiveLimit = BUFFER;
  }

  /** @param {{}} _network @param {{ tag: string, value: any }} address */
  startBind(_network, address) {
    const { bound } = this.process.network;
    const text = addressText(address);
    if (this.state !== "new") return this.refusal();
    if (address.tag !== this.family) return new Err("invalid-argument");
    if (!this.process.mayListen(text)) return new Err("access-denied");
    if (bound.has(text)) return new Err("address-in-use");
    bound.set(text, this);
    this.address = text;
    this.state = "binding";
    return undefined;
  }

  finishBind() {
    if (this.state !== "binding") return new Err("not-in-progress");
    this.state = "bound";
    return undefined;
  }

  startListen() {
    if (this.state !== "bound") return this.refusal();
    this.state = "preparing";
    return undefined;
  }

  finishListen() {
    if (this.state !== "preparing") return new Err("not-in-progress");
    this.state = "listening";
    return undefined;
  }

  refusal() {
    return new Err(this.state === "binding" || this.state === "preparing" ? "concurrency-conflict" : "invalid-state");
  }

  /**
   * The system makes the connection of a client, or lets it wait if the backlog is full.
   * @param {Connection} connection
   */
  admit(connection) {
    if (connection.hasLeft) return;
    if (this.backlog.length >= this.backlogSize) return void this.outside.push(connection);
    const { network, number, peer, toServer, toClient } = connection;
    this.backlog.push(connection);
    toServer.receiveLimit = this.receiveLimit;
    toClient.sendLimit = this.sendLimit;
    this.process.wake();
    network.later(() => {
      if (!connection.hasLeft) network.report({ event: "connected", connection: number, peer });
      toServer.isOpen = true;
      toServer.move();
    });
  }

  accept() {
    if (this.state !== "listening") return new Err("invalid-state");
    const connection = this.backlog.shift();
    if (!connection) return new Err("would-block");
    // Clients for which there is still no room wait on.
    this.outside.splice(0).forEach(next => this.admit(next));
    const { process, family, address, sendLimit, receiveLimit } = this;
    const socket = Object.assign(new TcpSocket(process, family), { address, connection, sendLimit, receiveLimit });
    socket.state = "connected";
    connection.process = process;
    return [socket, new InputStream(process, connection.toServer), new OutputStream(process, connection.toClient)];
  }

  localAddress() {
    return this.state === "new" || this.state === "binding" ? new Err("invalid-state") : addressOf(this.address);
  }

  /** A client that has reset the connection has no address any more. */
  remoteAddress() {
    if (!this.connection || this.connection.toServer.last === "reset") return new Err("invalid-state");
    return addressOf(this.connection.peer);
  }

  /** @param {bigint} size */
  setListenBacklogSize(size) {
    if (size === 0n) return new Err("invalid-argument");
    if (this.connection) return new Err("invalid-state");
    this.backlogSize = Number(size);
    return undefined;
  }

  /** @param {bigint} size */
  setReceiveBufferSize(size) {
    return this.setBufferSize("receiveLimit", this.connection?.toServer, size);
  }

  /** @param {bigint} size */
  setSendBufferSize(size) {
    return this.setBufferSize("sendLimit", this.connection?.toClient, size);
  }

  /**
   * Accepted sockets inherit the sizes of the listener.
   * @param {"sendLimit" | "receiveLimit"} which
   * @param {Pipe | undefined} pipe
   * @param {bigint} size
   */
  setBufferSize(which, pipe, size) {
    if (size === 0n) return new Err("invalid-argument");
    this[which] = Math.min(Number(size), LARGEST_BUFFER);
    if (pipe) pipe[which] = this[which];
    pipe?.move();
    return undefined;
  }

  subscribe() {
    return new Pollable(this.process, () => this.state !== "listening" || this.backlog.length > 0);
  }

  /** @param {"receive" | "send" | "both"} what */
  shutdown(what) {
    if (!this.connection) return new Err("invalid-state");
    if (what !== "send") return new Err("not-supported");
    this.connection.toClient.finish();
    return undefined;
  }

  drop() {
    const { network } = this.process;
    this.connection?.close();
    if (network.bound.get(this.address) === this) network.bound.delete(this.address);
    for (const { toClient } of this.backlog) toClient.reset();
    for (const connection of this.outside) network.refuse(connection);
  }
}

/** What a component finds around it while it runs. */
export class Process {
  /**
   * @param {Network} network
   * @param {string[]} words the command line, with the name of the program
   * @param {(event: any) => void} report tells the page
   */
  constructor(network, words, report) {
    this.network = network;
    this.report = report;
    this.started = performance.now();
    this.stdin = new Pipe({ delay: 0, piece: 0 }, () => this.wake());
    /** How often the component has called `poll`, how often others had a turn, and when the last turn was. */
    this.polls = 0;
    this.turns = 0;
    this.lastTurn = this.started;
    /** Whether the component can wait now. */
    this.mayWait = () => true;
    this.hasAsked = false;
    /** @type {(() => void) | undefined} wakes the component, if it sleeps */
    this.waker = undefined;
    const [stdout, stderr] = [this.output("out"), this.output("err")];
    const now = () => performance.now();
    /** @type {Record<string, (...values: any[]) => any>} */
    this.functions = {
      "wasi:io/poll.poll": pollables => this.poll(pollables),
      "wasi:clocks/monotonic-clock.now": () => BigInt(Math.round(now() * 1e6)),
      "wasi:clocks/monotonic-clock.subscribe-duration": nanoseconds => this.alarm(now() + Number(nanoseconds) / 1e6),
      "wasi:clocks/wall-clock.now": () => {
        const time = Date.now();
        return { seconds: BigInt(Math.floor(time / 1000)), nanoseconds: (time % 1000) * 1e6 };
      },
      "wasi:cli/environment.get-arguments": () => words,
      "wasi:cli/environment.get-environment": () => [],
      "wasi:cli/exit.exit": status => {
        throw new Exit(status instanceof Err ? 1 : 0);
      },
      "wasi:cli/stdin.get-stdin": () => new InputStream(this, this.stdin),
      "wasi:cli/stdout.get-stdout": () => new OutputStream(this, stdout),
      "wasi:cli/stderr.get-stderr": () => new OutputStream(this, stderr),
      "wasi:cli/terminal-stdin.get-terminal-stdin": () => undefined,
      "wasi:cli/terminal-stdout.get-terminal-stdout": () => undefined,
      "wasi:cli/terminal-stderr.get-terminal-stderr": () => undefined,
      "wasi:sockets/instance-network.instance-network": () => ({}),
      "wasi:sockets/tcp-create-socket.create-tcp-socket": family => new TcpSocket(this, family),
    };
    this.resources = {
      "pollable": Pollable,
      "input-stream": InputStream,
      "output-stream": OutputStream,
      "tcp-socket": TcpSocket,
    };
  }

  /** @param {"out" | "err"} stream */
  output(stream) {
    const decoder = new TextDecoder();
    const write = (/** @type {Uint8Array} */ bytes) =>
      this.report({ event: "output", stream, text: decoder.decode(bytes, { stream: true }) });
    return { room: MOST, isClosed: false, write };
  }

  /** Whether the grants allow this address. The page learns that the component has asked. @param {string} address */
  mayListen(address) {
    this.hasAsked = true;
    const allowed = GRANTED.includes(address);
    const time = Number(((performance.now() - this.started) / 1000).toFixed(6));
    const line = { v: 1, time, event: "asked", what: "listen", detail: address, allowed, option: null };
    this.report({ event: "asked", line: JSON.stringify(line) });
    return allowed;
  }

  /**
   * An alarm of 0 rings when all messages that have come are served: the runtime uses it for that.
   * @param {number} deadline
   */
  alarm(deadline) {
    const { turns } = this;
    return new Pollable(this, () => this.turns > turns && performance.now() >= deadline, deadline);
  }

  /**
   * The places of the pollables that are ready: at once, or as a promise if none is, or if others must have a turn.
   * @param {Pollable[]} pollables
   */
  poll(pollables) {
    if (pollables.length === 0) throw new Error("a poll of nothing would never end");
    this.polls += 1;
    const ready = places(pollables);
    const isLate = performance.now() - this.lastTurn > LONGEST_TURN && this.mayWait();
    return ready.length > 0 && !isLate ? ready : this.wait(pollables, ready.length > 0);
  }

  /** @param {Pollable[]} pollables @param {boolean} isReady */
  async wait(pollables, isReady) {
    const deadline = Math.min(...pollables.map(pollable => pollable.deadline));
    for (;;) {
      const left = isReady ? 0 : deadline - performance.now();
      await new Promise(resolve => {
        // A timer is not exact to the millisecond.
        if (left < 1) return after(0, () => resolve(undefined));
        const timer = left === Infinity ? undefined : after(left, () => this.wake());
        this.waker = () => resolve(clearTimeout(timer));
      });
      this.turns += 1;
      this.lastTurn = performance.now();
      const ready = places(pollables);
      if (ready.length > 0) return ready;
      isReady = false;
    }
  }

  /** Something has happened that the component may wait for. */
  wake() {
    const { waker } = this;
    this.waker = undefined;
    waker?.();
  }
}

/** @param {Pollable[]} pollables */
function places(pollables) {
  const ready = [];
  for (let place = 0; place < pollables.length; place++) if (pollables[place].isReady()) ready.push(place);
  return ready;
}
