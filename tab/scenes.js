// The lesson of docs/lecture.md in the tab: what each of its commands does here, and whether it printed what the lesson says.
import { curlClient, nc, socketClient, urlClient } from "./clients.js";

/** @typedef {import("./stage.js").Stage} Stage */
/** @typedef {import("./stage.js").Terminal} Terminal */

// ------------------------------------------------------------------------------------------------------------- commands

/** The words of a command line, without quotes. @param {string} line */
const words = line => [...line.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)].map(([, one, two, bare]) => one ?? two ?? bare);

/** What `printf` prints. @param {string} text */
const unescaped = text =>
  text.replace(/\\([rn\\])/g, (_, letter) => (letter === "r" ? "\r" : letter === "n" ? "\n" : letter));

/** Options of the launcher and of the sandbox, which the server itself does not have. */
const OF_THE_LAUNCHER = ["--quiet", "--watch", "--live"];

/** A command of a client. @param {string} command @param {string[]} typed lines of a person
 * @returns {import("./clients.js").Client | undefined} */
function clientOf(command, typed) {
  const client = /^runner\/client (?:--quiet )?(socket|url)$/.exec(command);
  if (client) return client[1] === "socket" ? socketClient : urlClient;
  if (/^nc localhost 9000$/.test(command)) return terminal => nc(terminal, [typed.map(line => `${line}\r\n`).join("")]);
  const pipe = /^\(?(printf .*?)\)? \| nc localhost 9000$/.exec(command);
  if (pipe) {
    const steps = pipe[1]
      .split("; ")
      .map(step => words(step))
      .map(([name, value]) => (name === "sleep" ? Number(value) * 1000 : unescaped(value)));
    return terminal => nc(terminal, steps);
  }
  if (!command.startsWith("curl ")) return undefined;
  // The shell makes nine thousand zeros of it.
  const parts = words(command.replace("$(printf %09000d 0)", "0".repeat(9000)));
  const url = new URL(parts.at(-1) ?? "");
  const cookie = parts.includes("--cookie") ? parts[parts.indexOf("--cookie") + 1] : undefined;
  return terminal => curlClient(terminal, { url, cookie, head: parts.some(part => /^-[a-z]*i/.test(part)) });
}

/**
 * A block of the lesson: its commands, and the lines that it should print. `run` is absent if the tab cannot run them, and takes the
 * terminal of a block about a client.
 * @typedef {{ isServer: boolean, title: string, expected: string[], run?: (stage: Stage, terminal?: Terminal) => Promise<void> }} Block
 */

/** Reads a block. @param {string} text @param {boolean} isServer whether it is about the first terminal @returns {Block} */
export function readBlock(text, isServer) {
  const lines = text.trimEnd().split("\n");
  const commands = lines.filter(line => line.startsWith("$ ")).map(line => line.slice(2));
  const typed = commands[0]?.startsWith("nc ")
    ? lines.slice(
        1,
        lines.findIndex(line => line.startsWith("HTTP/")),
      )
    : [];
  const isStop = lines.includes("^C");
  const actions = commands.map(command => (isServer ? serverAction(command) : clientAction(command, typed)));
  const title = commands.join("; ") || (isStop ? "Ctrl-C" : "");
  /** @type {Block} */
  const block = { isServer, title, expected: expectedOf(lines.slice(typed.length)) };
  if (title === "" || !actions.every(action => action)) return block;
  block.run = async (stage, terminal) => {
    for (const action of actions) await action?.(stage, terminal);
    if (isStop) await stage.stop();
  };
  return block;
}

/** The options of a command that starts the server; undefined if it does something else. @param {string} command */
function serveOptions(command) {
  const serve = /^runner\/serve(?: (.*))?$/.exec(command);
  return serve && words(serve[1] ?? "").filter(word => !OF_THE_LAUNCHER.includes(word));
}

/** @typedef {(stage: Stage, terminal?: Terminal) => Promise<unknown>} Action */

/** @param {string} command @returns {Action | undefined} */
function serverAction(command) {
  const options = serveOptions(command);
  return options ? stage => stage.serve(options) : undefined;
}

/** @param {string} command @param {string[]} typed @returns {Action | undefined} */
function clientAction(command, typed) {
  if (command === "echo $?") return async (_, terminal) => terminal?.print(`${terminal.code}\n`);
  const options = serveOptions(command);
  if (options) return async (stage, terminal) => terminal?.end(await stage.serveAgain(options, terminal));
  const client = clientOf(command, typed);
  return client ? async (_, terminal) => terminal?.run(client) : undefined;
}

// --------------------------------------------------------------------------------------------------------------- checks

/** The lines that a block should print: without commands, and without what the sandbox of the lesson says of itself. @param {string[]} lines */
function expectedOf(lines) {
  const printed = lines.filter(line => !line.startsWith("$ ") && line !== "^C" && !line.startsWith("Watch "));
  const sandbox = printed.findIndex(line => line.startsWith("The sandbox lets "));
  if (sandbox >= 0) printed.splice(sandbox, printed.findIndex(line => / memory\.$/.test(line)) + 1 - sandbox);
  return printed;
}

/** A line without what differs each time: times, ports of clients, and the counts of all that was done before. @param {string} line */
const settled = line =>
  line
    .trimEnd()
    .replace(/\[\d\d\/\w+\/\d{4}:[\d:]+ \+0000\]/, "[time]")
    .replace(/\bDate: .* GMT/, "Date: then")
    .replace(/(127\.0\.0\.1|\[::1\]):(?!9000|9001)\d+/g, "$1:port")
    .replace(/^(call) \d+ +[\d.]+ s/, "$1 0 0 s")
    .replace(/\bcall \d+:/, "call 0:")
    .replace(/^Served .*/, "Served some");

/** Whether a printed line is what the lesson says, in which `...` stands for anything. @param {string} expected @param {string} line */
function isLike(expected, line) {
  const pattern = settled(expected)
    .split("...")
    .map(part => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"))
    .join(".*");
  return RegExp(`^${pattern}$`).test(settled(line));
}

/** The first line that should have been printed, and was not; undefined if all were. The two streams of the server are not in
 * order between themselves, so the order does not count. @param {string[]} expected @param {string} printed */
export function missing(expected, printed) {
  const lines = printed.split("\n");
  return expected
    .filter(line => line.trim() !== "" && line !== "...")
    .find(line => {
      const found = lines.findIndex(candidate => isLike(line, candidate));
      if (found >= 0) lines.splice(found, 1);
      return found < 0;
    });
}

// ------------------------------------------------------------------------------- what the tab adds to scenes of the lesson

/** The bytes of a component that imports the files of its host, and does nothing. */
const WANTS_FILES = (() => {
  const name = [...new TextEncoder().encode("wasi:filesystem/preopens@0.2.0")];
  // A type section with an instance type without members, and an import section: see the binary format of components.
  const type = [7, 3, 1, 0x42, 0];
  const content = [1, 0, name.length, ...name, 5, 0];
  return Uint8Array.of(0, 0x61, 0x73, 0x6d, 0x0d, 0, 1, 0, ...type, 10, content.length, ...content);
})();

/**
 * Tasks that the lesson does outside of a browser, for each scene. A task returns what came, and whether that is what it promises.
 * @typedef {{ title: string, words: string, label?: string, run: (stage: Stage, text: string) => Promise<[string, boolean]> }} Extra
 * @type {Record<number, Extra[]>}
 */
export const EXTRAS = {
  7: [
    {
      title: "Listen where it was not granted",
      words:
        "The tab grants to listen on port 9000 of this pretended machine, and nowhere else. Let the server ask for more:",
      async run(stage) {
        const terminal = stage.terminal("runner/serve --listen 0.0.0.0:9001");
        terminal.end(await stage.serveAgain(["--listen", "0.0.0.0:9001"], terminal));
        return [`The server was refused, and said: ${terminal.printed}`, terminal.code === 1];
      },
    },
    {
      title: "Load a program that wants files",
      words: "A component lists all functions that it needs. The tab reads that list before it starts anything:",
      async run(stage) {
        const sentence = await stage.change(WANTS_FILES);
        return [sentence, sentence !== ""];
      },
    },
    {
      title: "Let this page call another machine",
      words: "The browser is a sandbox, too. This file tells it to let the page call nobody:",
      async run() {
        const came = await fetch("https://example.com/").then(
          () => "The call went out.",
          () => "The browser has refused it.",
        );
        return [came, came.includes("refused")];
      },
    },
  ],
  8: [
    {
      title: "Change the letters in the program",
      words:
        "This file cannot build Rust. But the words of the page are bytes of the program, and the tab can change these eleven:",
      label: "Eleven letters",
      async run(stage, text) {
        await stage.replaceText(text);
        const terminal = stage.terminal("curl -s http://localhost:9000/");
        await terminal.run(each => curlClient(each, { url: new URL("http://localhost:9000/") }));
        return [`The server now says: ${terminal.printed}`, terminal.printed.includes(text)];
      },
    },
  ],
};
