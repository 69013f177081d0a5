// What the page has: the machine with the server in it, the wire, and terminals in which programs run. Each part of the page
// uses it; it knows none of them.
import { Machine, Socket, bodyOf, fieldOf } from "./clients.js";
import { Wire, byId, count, fromBytes, make, setText } from "./wire.js";

/** How many terminals stay. */
const TERMINALS = 8;
/** How many characters of a stream are shown. */
const SHOWN = 20_000;
/** How long a check waits for what the server prints. */
const PATIENCE = 5000;

/** The text of a binary string, in UTF-8. @param {string} binary */
const asText = binary => new TextDecoder().decode(Uint8Array.from(binary, letter => letter.charCodeAt(0)));

/** Whether a response is a page. @param {string} response */
const isHtml = response => response.includes("\r\n\r\n") && /^text\/html/i.test(fieldOf(response, "Content-Type"));

/** The page of a response, for a frame. @param {string} response */
export function pageOf(response) {
  const text = asText(bodyOf(response));
  return isHtml(response) ? text : make("pre", {}, text).outerHTML;
}

/** The bytes of a part of this file, which are compressed, in base64. @param {string} id */
async function unpack(id) {
  const packed = Uint8Array.from(atob(byId(id).textContent.trim()), letter => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** A run of the program. */
class Process {
  /** @type {Record<string, string>} the last line of each stream, which is not complete */
  rest = { out: "", err: "" };
  /** @type {(code: number) => void} */
  tellEnd = () => {};
  /** @type {Promise<number>} its exit code */
  end = new Promise(resolve => (this.tellEnd = resolve));

  /** @param {number} id @param {(text: string) => void} print */
  constructor(id, print) {
    this.id = id;
    this.print = print;
  }
}

/** The machine, the program, the server in the first terminal, and all that this has printed. */
export class Stage {
  /** @type {Machine} */
  machine;
  /** @type {Map<number, Process>} */
  processes = new Map();
  /** @type {Process | undefined} */
  server;
  printed = "";
  /** The program that runs, and the one that came with this file. */
  program = new Uint8Array();
  own = new Uint8Array();
  /** @type {() => void} */
  tellOpen = () => {};
  /** @type {Promise<void>} ends when the program of this file is loaded */
  isOpen = new Promise(resolve => (this.tellOpen = resolve));
  /** @type {() => void} is called after the server has printed */
  changed = () => {};

  /** @param {(binary: string) => void} intoForm puts a request into the form, to be changed */
  constructor(intoForm) {
    this.machine = new Machine(byId("worker").textContent, event => this.take(event));
    this.wire = new Wire({
      connections: byId("connections"),
      older: byId("older"),
      nothing: byId("nothing"),
      server: byId("server-events"),
      asked: byId("asked"),
      address: () => "127.0.0.1:9000",
      intoForm,
    });
    // A screen reader gets a sentence a second at most.
    setInterval(() => {
      const news = this.wire.news();
      if (news) setText(byId("spoken"), news);
    }, 1000);
  }

  // ---------------------------------------------------------------------------------------------------------- the program

  /** Unpacks the program of this file, and loads it. @returns {Promise<string>} why it cannot run here, or "" */
  async open() {
    this.own = await unpack("component");
    const problem = await this.change(this.own);
    this.tellOpen();
    return problem;
  }

  /** Loads another program into a new machine. If it cannot run there, the one before stays. @param {Uint8Array<ArrayBuffer>} program
   * @returns {Promise<string>} why it cannot run, or "" */
  async change(program) {
    await this.stop();
    const problem = await this.machine.load(program);
    if (problem) await this.machine.load(this.program);
    else this.program = program;
    const size = count(this.program.length, "byte");
    const sum = byId("component").dataset.sha256;
    const words =
      this.program === this.own
        ? `hello-server.wasm, ${size}, SHA-256 ${sum}`
        : `another one, ${size}; reload this page for the first one`;
    setText(byId("program"), `The program is ${words}.`);
    return problem;
  }

  /** Puts other words into the page that the program sends. @param {string} text of at most eleven letters */
  async replaceText(text) {
    const [from, to] = ["<html><body>Hello World", `<html><body>${text.padEnd(11)}`];
    const program = this.own.slice();
    program.set(new TextEncoder().encode(to).subarray(0, from.length), fromBytes(program).indexOf(from));
    await this.change(program);
    await this.serve([]);
  }

  // ----------------------------------------------------------------------------------------------------------- the server

  /** Starts the server in the first terminal, and waits until it listens or ends. @param {string[]} words its options */
  async serve(words) {
    await this.isOpen;
    await this.stop();
    this.printed = "";
    byId("options").value = words.join(" ");
    this.show(`$ ${["runner/serve", ...words].join(" ")}\n`);
    this.server = this.start(words, text => this.show(text));
    this.wire.take({ event: "hello", run: String(this.server.id), address: "127.0.0.1:9000" });
    this.drawState();
    await Promise.race([this.server.end, this.until(() => /^Access /m.test(this.printed))]);
  }

  /** Runs the program once more, in the terminal of a client, to its end. @param {string[]} words @param {Terminal} terminal */
  async serveAgain(words, terminal) {
    const process = this.start(words, text => terminal.print(text));
    terminal.onClose(() => this.machine.tell({ do: "close-stdin", process: process.id }));
    return process.end;
  }

  /** Stops the server as Ctrl-C does: the end of its input asks it to. */
  async stop() {
    if (!this.server) return;
    const { id, end } = this.server;
    this.show("^C\n");
    this.machine.tell({ do: "close-stdin", process: id });
    await end;
  }

  /** Ends the machine with all that runs in it, and gets another one. */
  async kill() {
    for (const process of this.processes.values()) this.ended(process, 137, "you have ended it");
    this.machine.end();
    this.machine = new Machine(byId("worker").textContent, event => this.take(event));
    await this.machine.load(this.program);
  }

  /** @param {string[]} words @param {(text: string) => void} print */
  start(words, print) {
    // The wire is drawn from the events. They are not shown, and the log is on as without them.
    // The learner's words come last: an option that lacks its value would take the next word.
    const isLogged = words.some(word => word.startsWith("--log"));
    const id = this.machine.start([
      "--events",
      "--stop-when-stdin-closes",
      ...(isLogged ? [] : ["--log", "common"]),
      ...words,
    ]);
    const process = new Process(id, print);
    this.processes.set(id, process);
    return process;
  }

  /** Takes what the machine tells. @param {any} event */
  take(event) {
    const process = this.processes.get(event.process);
    if (process && event.event === "output") this.output(process, event.stream, event.text);
    if (process && event.event === "exited") this.ended(process, event.code, event.trap);
    if (event.event === "asked") this.wire.take(JSON.parse(event.line));
    if (event.event === "busy")
      this.drawState(event.isBusy ? "It computes, and does not listen. You can end it at once." : undefined);
    if (event.event === "lost") this.drawState(`The browser has ended it: ${event.message}`);
  }

  /** Lines of the program: events go to the wire, and the rest is shown. @param {Process} process @param {string} stream @param {string} text */
  output(process, stream, text) {
    const lines = (process.rest[stream] + text).split("\n");
    process.rest[stream] = lines.pop() ?? "";
    const isEvent = (/** @type {string} */ line) => line.startsWith('{"v":');
    const shown = lines.filter(line => !isEvent(line));
    // Connections of another process have the same numbers.
    if (process === this.server) for (const line of lines.filter(isEvent)) this.wire.take(JSON.parse(line));
    if (shown.length > 0) process.print(`${shown.join("\n")}\n`);
  }

  /** @param {Process} process @param {number} code @param {string} [trap] */
  ended(process, code, trap) {
    const rest = process.rest.out + process.rest.err;
    if (rest) process.print(`${rest}\n`);
    if (trap) process.print(`The program was ended, and the machine goes on: ${trap}\n`);
    this.processes.delete(process.id);
    process.tellEnd(code);
    if (process !== this.server) return;
    this.server = undefined;
    this.drawState(`It has ended, with exit code ${code}.`);
  }

  /** @param {string} text */
  show(text) {
    this.printed = (this.printed + text).slice(-SHOWN);
    const out = byId("output");
    out.hidden = false;
    setText(out, this.printed);
    out.scrollTop = out.scrollHeight;
    this.changed();
  }

  drawState(words = this.server ? "It runs." : "It does not run.") {
    setText(byId("state"), words);
    byId("start").disabled = Boolean(this.server);
    byId("stop").disabled = byId("kill").disabled = !this.server;
  }

  /** Waits until the condition holds, or for as long as a check has patience. @param {() => boolean} condition */
  async until(condition) {
    for (const end = performance.now() + PATIENCE; !condition() && performance.now() < end;) {
      await new Promise(resolve => setTimeout(resolve, 20));
    }
  }

  /** A new terminal. @param {string} command */
  terminal(command) {
    return new Terminal(this, command);
  }
}

/** A terminal, in which one command of a client runs. */
export class Terminal {
  printed = "";
  code = 0;
  /** @type {Socket[]} */
  sockets = [];
  out = make("pre", { tabIndex: 0, ariaLabel: "What the command prints" });
  state = make("p", { className: "dim" }, "It runs.");
  button = make("button", { type: "button" }, "Close");
  pageButton = make("button", { type: "button", hidden: true }, "Show it as a page");

  /** @param {Stage} stage @param {string} command */
  constructor(stage, command) {
    this.command = command;
    this.machine = stage.machine;
    this.wire = stage.wire;
    this.closes = [() => this.sockets.forEach(socket => socket.close())];
    this.button.addEventListener("click", () => this.closes.forEach(close => close()));
    const title = make("h3", {}, `$ ${command.length > 90 ? `${command.slice(0, 90)}...` : command}`);
    this.card = make("div", { className: "terminal" }, title, this.out, this.state, this.button, this.pageButton);
    this.pageButton.addEventListener("click", () => this.showPage());
    byId("terminals").prepend(this.card);
    const old = byId("terminals").children[TERMINALS];
    old?.querySelector("button").click();
    old?.remove();
  }

  /** @param {() => void} close */
  onClose(close) {
    this.closes.push(close);
  }

  /** @param {string} text a binary string, or ASCII */
  print(text) {
    this.printed = (this.printed + text).slice(0, SHOWN);
    setText(this.out, asText(this.printed));
  }

  /** Shows what happens on a connection, and names it on the wire. @param {Socket} socket */
  follow(socket, name = this.command) {
    this.sockets.push(socket);
    this.wire.name(socket.peer, name);
    socket.changed = () => this.draw();
    this.draw();
  }

  draw() {
    const states = this.sockets.map(
      ({ sent, received, end }) =>
        `sent ${count(sent.length, "byte")}, received ${count(received.length, "byte")}; ${end || "the connection is open"}`,
    );
    setText(this.state, states.slice(-3).join(" · "));
    this.button.hidden = this.sockets.every(({ end }) => end);
    this.pageButton.hidden = !isHtml(this.lastReceived());
  }

  /** Shows the last response as a browser does. */
  showPage() {
    const frame = make("iframe", { title: "The page, as a browser shows it", srcdoc: pageOf(this.lastReceived()) });
    // The frame is a sandbox: no scripts, no forms, and nothing of this page.
    frame.setAttribute("sandbox", "");
    this.pageButton.replaceWith(frame);
  }

  /** All that the last connection has received. */
  lastReceived() {
    return this.sockets.at(-1)?.received ?? "";
  }

  /** The command has ended, and its connections perhaps not. @param {number} code */
  end(code) {
    this.code = code;
    this.draw();
    if (this.sockets.length === 0) setText(this.state, `It has ended, with exit code ${code}.`);
  }

  /** Runs a client to its end. @param {(terminal: Terminal) => Promise<number>} client */
  async run(client) {
    this.end(await client(this));
    return this.code;
  }
}
