// The entry of the Web Worker: passes the orders of the page to the machine, and the events of the machine to the page.
// The component runs in the worker, so that the page never hangs, whatever the component does.
import { interpreting } from "./interpreter.js";
import { compile, hasJspi, Instance, jspi, Unfit } from "./component.js";
import { Exit, Network, Process } from "./machine.js";

/**
 * The exit codes of a program that refuses its options, and of one that the system aborts: the same as in a terminal.
 */
const USAGE = 2;
const TRAP = 134;

const report = (/** @type {any} */ event) => postMessage(event);
const network = new Network(report);
/** @type {Map<number, { process: Process, instance: Instance }>} the processes that run */
const processes = new Map();
/** @type {Promise<Awaited<ReturnType<typeof compile>> | undefined>} */
let component = Promise.resolve(undefined);

/** @param {Uint8Array} bytes @param {boolean} isInterpreted whether the component waits by the interpreter */
async function load(bytes, isInterpreted) {
  try {
    const loaded = await compile(bytes, isInterpreted);
    report({ event: "loaded", imports: loaded.imports });
    return loaded;
  } catch (error) {
    const sentence = error instanceof Unfit ? error.message : `the file is damaged: load it again (${error})`;
    report({ event: "unfit", sentence });
    return undefined;
  }
}

/**
 * Runs a process, and reports its beginning and its end.
 * @param {number} number
 * @param {string[]} words
 */
async function start(number, words) {
  const loaded = await component;
  if (!loaded) return;
  const process = new Process(network, ["hello-server.wasm", ...words], event => report({ ...event, process: number }));
  const waiting = loaded.program ? interpreting(loaded.program) : jspi();
  process.mayWait = waiting.mayWait;
  const instance = new Instance(loaded, process, waiting);
  processes.set(number, { process, instance });
  report({ event: "started", process: number });
  /** @type {{ code: number, trap?: string }} */
  let end;
  try {
    end = { code: await instance.start() };
  } catch (error) {
    end = error instanceof Exit ? { code: error.code } : { code: TRAP, trap: String(error) };
  }
  // WASI 0.2 has no exit codes but 0 and 1. A program that fails before it asks for an address has refused its options.
  if (end.code === 1 && !process.hasAsked) end.code = USAGE;
  processes.delete(number);
  instance.handles.clear();
  report({ event: "exited", process: number, ...end });
}

/** What the page asks for. @type {Record<string, (message: any) => void>} */
const orders = {
  "load": ({ component: bytes, interpret }) => (component = load(bytes, interpret || !hasJspi())),
  "start": ({ process, arguments: words }) => start(process, words),
  "close-stdin": ({ process }) => processes.get(process)?.process.stdin.finish(),
  "connect": ({ connection, host, port }) => network.connect(connection, host, port),
  "send": ({ connection, bytes }) => network.connections.get(connection)?.toServer.write(bytes),
  "finish": ({ connection }) => network.connections.get(connection)?.toServer.finish(),
  "leave": ({ connection }) => network.connections.get(connection)?.leave(),
  "pause": ({ connection }) => network.connections.get(connection)?.pause(true),
  "resume": ({ connection }) => network.connections.get(connection)?.pause(false),
  "line": ({ delay, piece }) => Object.assign(network.line, { delay, piece }),
  "measure": () => {
    const all = [...processes.values()];
    report({
      event: "measured",
      memory: all.reduce((sum, { instance }) => sum + instance.exports.memory.buffer.byteLength, 0),
      turns: all.reduce((sum, { process }) => sum + process.polls + process.turns, 0),
      sleeping: all.every(({ process }) => process.waker !== undefined),
      connections: network.connections.size,
    });
  },
};

onmessage = ({ data }) => orders[data.do](data);
