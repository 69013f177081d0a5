// The loader: takes the core module out of a component, and speaks the canonical ABI with it. The component then calls
// functions of JavaScript with values of JavaScript. The canonical ABI is the rule for how values of WIT cross the
// border of a core module, which has only numbers and a memory: github.com/WebAssembly/component-model,
// design/mvp/CanonicalABI.md.
//
// To lift a value is to bring it from the component to JavaScript; to lower it is the other way. In JavaScript
// * a list of u8 is a Uint8Array, every other list and every tuple an Array, and a record an object,
// * an enum is the name of its case, a variant is { tag, value }, and an option is the value or undefined,
// * a result is the value or an Err, a u64 is a BigInt, and a resource is any object.
import { TYPES, IMPORTS, EXPORTS } from "./abi.js";
import { readProgram } from "./interpreter.js";

/** The error of a result. */
export class Err {
  /** @param {any} error */
  constructor(error) {
    this.error = error;
  }
}

/** A file that cannot run in a tab. The message says why, and what helps. */
export class Unfit extends Error {}

/** The functions that may wait. All others return at once. */
const MAY_WAIT = [
  "wasi:io/poll.poll",
  "wasi:io/poll.[method]pollable.block",
  "wasi:io/streams.[method]output-stream.blocking-write-and-flush",
  "wasi:io/streams.[method]output-stream.blocking-flush",
];

const RUN = "wasi:cli/run.run";

/** The browsers that can run every component that the loader takes: those with JavaScript Promise Integration. */
const BROWSERS = "Chrome or Edge from version 137, or Firefox from 153";

/** The most parameters that a core function has. More would come through memory, which no function here needs. */
const MOST_PARAMETERS = 16;

// --- The file ---

/**
 * The first core module of a component. Like a core module, a component is a list of sections: the kind as a number,
 * the size, the contents. A section of kind 1 is a whole core module.
 * @param {Uint8Array} bytes
 * @returns {Uint8Array}
 */
export function coreModule(bytes) {
  const advice = "choose a file such as hello-server.wasm, which `cargo build` makes for wasm32-wasip2";
  if (bytes.length === 0) throw new Unfit(`the file is empty: ${advice}`);
  const [version, layer] = [bytes[4] | (bytes[5] << 8), bytes[6] | (bytes[7] << 8)];
  if (bytes.length < 8 || String.fromCharCode(...bytes.subarray(0, 4)) !== "\0asm") {
    throw new Unfit(`the file is not WebAssembly: ${advice}`);
  }
  if (layer === 0) throw new Unfit(`the file is a core module, not a component: ${advice}`);
  if (layer !== 1 || version !== 13) throw new Unfit(`the file has another version of the component format: ${advice}`);
  for (let at = 8; at < bytes.length;) {
    const kind = bytes[at++];
    let size = 0;
    for (let shift = 0, more = true; more; shift += 7, at++) {
      if (at >= bytes.length || shift > 28) throw new Unfit(`the file is damaged: ${advice}`);
      size += (bytes[at] & 127) * 2 ** shift;
      more = bytes[at] > 127;
    }
    if (at + size > bytes.length) throw new Unfit("the file is cut off: load it again");
    if (kind === 1) return bytes.subarray(at, at + size);
    if (kind === 4) break;
    at += size;
  }
  throw new Unfit(`the component does not begin with its program: ${advice}`);
}

/** What some components need, and the first functions that tell. */
const NEEDS = [
  ["wasi:http/outgoing-handler", "sends HTTP requests (wasi:http)"],
  ["wasi:http/", "is called by its host for each request (wasi:http)"],
  ["wasi:filesystem/", "uses files (wasi:filesystem)"],
  ["wasi:sockets/tcp.[method]tcp-socket.start-connect", "connects to a server (tcp-socket.start-connect)"],
  ["wasi:sockets/udp", "uses UDP (wasi:sockets/udp)"],
  ["wasi:sockets/ip-name-lookup", "looks up names (wasi:sockets/ip-name-lookup)"],
];

/**
 * Why a core module with these imports cannot run in a tab; undefined if it can.
 * @param {string[]} imports
 */
export function unfit(imports) {
  const missing = imports.filter(name => !Object.hasOwn(IMPORTS, name));
  if (missing.length === 0) return undefined;
  const need = NEEDS.find(([begin]) => missing.some(name => name.startsWith(begin)));
  const why = need ? need[1] : `calls ${missing[0]}`;
  return `this component ${why}, and a tab has nothing for that: load hello-server.wasm, or run this one in a terminal`;
}

/** A function without the version of its interface: all versions 0.2.x are compatible. @param {string} name */
const unversioned = name => name.replace(/@0\.2\.\d+(?=[.#]|$)/, "");

/**
 * Compiles a component, or throws Unfit.
 * @param {Uint8Array} bytes
 * @param {boolean} isInterpreted whether the component waits by the interpreter, not by the browser
 */
export async function compile(bytes, isInterpreted) {
  const core = coreModule(bytes);
  const module = await WebAssembly.compile(/** @type {BufferSource} */ (core));
  const names = WebAssembly.Module.imports(module).map(({ module, name }) => unversioned(`${module}.${name}`));
  const imports = [...new Set(names)];
  const sentence = unfit(imports);
  if (sentence) throw new Unfit(sentence);
  const exports = WebAssembly.Module.exports(module).map(({ name }) => name);
  const run = exports.find(name => unversioned(name) === RUN.replace(".run", "#run"));
  if (!run || !exports.includes("memory") || !exports.includes("cabi_realloc")) {
    throw new Unfit("this component is no program (wasi:cli/run): load hello-server.wasm");
  }
  if (!isInterpreted) return { module, run, imports };
  try {
    // Of the functions that may wait, the machine lets only `poll` wait for something that is not there yet.
    const program = readProgram(core, name => unversioned(name) === "wasi:io/poll.poll");
    return { module: await WebAssembly.compile(program.module), run, imports, program };
  } catch (error) {
    throw new Unfit(`this browser cannot run the component (${error}): use ${BROWSERS}`);
  }
}

// --- The types ---

/**
 * How values of a type cross the border. An operation is absent if no function of the contract needs it.
 * @typedef {object} Type
 * @property {string[]} flat the core types that the value has as parameters
 * @property {number} size in memory, and
 * @property {number} align the multiple at which it begins
 * @property {(c: Instance, core: any[], at: number) => any} [lift] from parameters, the first of which is core[at]
 * @property {(c: Instance, at: number) => any} [load] from memory
 * @property {(c: Instance, value: any) => any} [lower] to a core value
 * @property {(c: Instance, at: number, value: any) => void} [store] to memory
 */

/** In memory and as parameters, a handle is a number, and a list or a string the place and the number of its items. */
const HANDLE = { flat: ["i32"], size: 4, align: 4 };
const LIST = { flat: ["i32", "i32"], size: 8, align: 4 };

/** @type {Record<string, Type>} */
const SIMPLE = {
  bool: { flat: ["i32"], size: 1, align: 1, lower: (_, value) => Number(value) },
  u8: integer(1, "setUint8", core => core & 0xff),
  u16: integer(2, "setUint16", core => core & 0xffff),
  u32: integer(4, "setUint32", core => core >>> 0),
  u64: { ...integer(8, "setBigUint64", core => BigInt.asUintN(64, core)), flat: ["i64"], lower: (_, value) => value },
  string: { ...LIST, store: (c, at, value) => c.storeBytes(at, new TextEncoder().encode(value)) },
};

/**
 * @param {number} size
 * @param {"setUint8" | "setUint16" | "setUint32" | "setBigUint64"} set
 * @param {(core: any) => any} lift
 * @returns {Type}
 */
function integer(size, set, lift) {
  /** @type {Type["store"]} */
  const store = (c, at, value) => c.view[set](at, /** @type {never} */ (value), true);
  return { flat: ["i32"], size, align: size, lift: (_, core, at) => lift(core[at]), store };
}

/** @type {Record<string, (...parts: any[]) => Type>} */
const KINDS = {
  // `own` passes a resource on, `borrow` lends it for the call.
  own: resource => ({
    ...HANDLE,
    lift: (c, core, at) => c.handles.take(resource, core[at]),
    lower: (c, value) => c.handles.add(resource, value),
    store: (c, at, value) => c.view.setUint32(at, c.handles.add(resource, value), true),
  }),
  borrow: resource => ({
    ...HANDLE,
    lift: (c, core, at) => c.handles.get(resource, core[at]),
    load: (c, at) => c.handles.get(resource, c.view.getInt32(at, true)),
  }),
  list: item => (item === "u8" ? BYTES : list(type(item))),
  tuple: (...parts) => record(parts, { toList: value => value, fromList: list => list }),
  record: (...fields) => {
    const [names, parts] = [fields.map(([name]) => name), fields.map(([, part]) => part)];
    return record(parts, {
      toList: value => names.map(name => value[name]),
      fromList: list => Object.fromEntries(list.map((value, i) => [names[i], value])),
    });
  },
  enum: (...names) => {
    const parts = names.map(() => null);
    return variant(parts, { toCase: value => [names.indexOf(value)], fromCase: index => names[index] });
  },
  option: some =>
    variant([null, some], { toCase: value => [value === undefined ? 0 : 1, value], fromCase: (_, value) => value }),
  result: (ok, err) =>
    variant([ok, err], {
      toCase: value => (value instanceof Err ? [1, value.error] : [0, value]),
      fromCase: (index, value) => (index === 0 ? value : new Err(value)),
    }),
  variant: (...cases) => {
    const [names, parts] = [cases.map(([name]) => name), cases.map(([, part]) => part)];
    return variant(parts, {
      toCase: ({ tag, value }) => [names.indexOf(tag), value],
      fromCase: (index, value) => ({ tag: names[index], value }),
    });
  },
};

/** @param {any} name @returns {Type} */
function type(name) {
  if (typeof name === "string") return SIMPLE[name] ?? type(TYPES[name]);
  const [kind, ...parts] = name;
  return KINDS[kind](...parts);
}

/**
 * The operations, except those that a part lacks.
 * @param {Type[]} parts
 * @param {Partial<Type>} operations
 * @returns {Partial<Type>}
 */
const common = (parts, operations) =>
  Object.fromEntries(Object.entries(operations).filter(([name]) => parts.every(part => name in part)));

/** @type {Type} */
const BYTES = {
  ...LIST,
  lift: (c, core, at) => c.bytes(core[at], core[at + 1]).slice(),
  store: (c, at, value) => c.storeBytes(at, value),
};

/** @param {Type} item @returns {Type} */
function list(item) {
  const { size, align, load, store } = item;
  /** @type {Type["lift"]} */
  const lift = (c, core, at) =>
    Array.from({ length: core[at + 1] >>> 0 }, (_, i) => load?.(c, (core[at] >>> 0) + i * size));
  const stored = common([item], {
    store: (c, at, values) => {
      const items = c.allocate(values.length * size, align);
      values.forEach((/** @type {any} */ value, /** @type {number} */ i) => store?.(c, items + i * size, value));
      c.storePair(at, items, values.length);
    },
  });
  return { ...LIST, ...stored, ...(load && { lift }) };
}

/** @param {number} at @param {number} align */
const aligned = (at, align) => Math.ceil(at / align) * align;

/**
 * Fields one after the other, each at a multiple of its alignment.
 * @param {any[]} parts
 * @param {{ toList: (value: any) => any[], fromList: (list: any[]) => any }} conversion
 * @returns {Type}
 */
function record(parts, { toList, fromList }) {
  const types = parts.map(type);
  const align = Math.max(...types.map(type => type.align));
  let [end, flatEnd] = [0, 0];
  const fields = types.map(type => {
    const field = { type, at: aligned(end, type.align), flatAt: flatEnd };
    [end, flatEnd] = [field.at + type.size, flatEnd + type.flat.length];
    return field;
  });
  return {
    flat: types.flatMap(type => type.flat),
    size: aligned(end, align),
    align,
    ...common(types, {
      lift: (c, core, at) => fromList(fields.map(({ type, flatAt }) => type.lift?.(c, core, at + flatAt))),
      store: (c, at, value) => toList(value).forEach((part, i) => types[i].store?.(c, at + fields[i].at, part)),
    }),
  };
}

/**
 * The number of the case, and behind it the value of the case, if it has one.
 * @param {any[]} cases
 * @param {{ toCase: (value: any) => any[], fromCase: (index: number, value: any) => any }} conversion to and from both
 * @returns {Type}
 */
function variant(cases, { toCase, fromCase }) {
  if (cases.length > 256) throw new Error("a variant with so many cases has a longer number");
  const types = cases.map(part => (part === null ? undefined : type(part)));
  const values = types.filter(type => type !== undefined);
  const align = Math.max(1, ...values.map(type => type.align));
  // The cases share their parameters. Parameters of different types would need a cast, and no function here has such
  // cases.
  const flat = values.map(type => type.flat).sort((a, b) => b.length - a.length)[0] ?? [];
  const areAlike = values.every(type => type.flat.every((core, i) => core === flat[i]));
  /** @type {Type["lift"]} */
  const lift = (c, core, at) => {
    const index = core[at] >>> 0;
    if (index >= cases.length) throw new Error(`there is no case ${index}`);
    return fromCase(index, types[index]?.lift?.(c, core, at + 1));
  };
  return {
    flat: ["i32", ...flat],
    size: aligned(align + Math.max(0, ...values.map(type => type.size)), align),
    align,
    ...common(values, {
      ...(areAlike && { lift }),
      store: (c, at, value) => {
        const [index, part] = toCase(value);
        if (index < 0) throw new Error(`there is no case for ${JSON.stringify(value)}`);
        c.view.setUint8(at, index);
        types[index]?.store?.(c, at + align, part);
      },
    }),
  };
}

// --- The functions ---

/**
 * The types of a function of the contract. A result of one core value is returned; every other result is stored where
 * the last parameter points to. Throws if an operation is missing, so that a changed contract fails at once.
 * @param {string} name
 * @param {import("./abi.js").Signature} signature
 * @param {"lift" | "lower"} direction of the result
 */
function typesOf(name, { params, result, core }, direction = "lower") {
  const types = Object.values(params).map(type);
  const flat = types.flatMap(type => type.flat);
  const results = result === null ? undefined : type(result);
  const isStored = results !== undefined && results.flat.length > 1;
  const signature = [...flat, ...(isStored ? ["i32"] : []), "->", ...(isStored ? [] : (results?.flat ?? []))].join(" ");
  const missing = types.some(type => !type.lift) || (results && !results[isStored ? "store" : direction]);
  if (missing || signature !== core || flat.length > MOST_PARAMETERS) {
    throw new Error(`${name} needs more of the canonical ABI than this loader has: ${signature}`);
  }
  let end = 0;
  const starts = types.map(type => (end += type.flat.length) - type.flat.length);
  return { types, starts, end, results, isStored };
}

const FUNCTIONS = new Map(Object.entries(IMPORTS).map(([name, signature]) => [name, typesOf(name, signature)]));
const RUN_RESULT = /** @type {Type} */ (typesOf(RUN, EXPORTS[RUN], "lift").results);

/**
 * What the component calls: functions by their names in the contract, and the class of each resource. Methods have the
 * names of the contract in camelCase. A class may have `drop`.
 * @typedef {{ functions: Record<string, (...values: any[]) => any>, resources: Record<string, any> }} Host
 */

/**
 * The function of the host with this name.
 * @param {string} name
 * @param {Host} host
 * @returns {(...values: any[]) => any}
 */
function hostFunction(name, host) {
  const [, kind, resource, method] = name.match(/\[(resource-drop|method)\]([^.]+)\.?(.*)$/) ?? [];
  if (kind === "resource-drop") return value => value.drop?.();
  if (kind === undefined && host.functions[name]) return host.functions[name];
  const member = method?.replace(/-(.)/g, (_, letter) => letter.toUpperCase());
  if (!host.resources[resource]?.prototype[member]) throw new Error(`the host has no ${name}`);
  return (self, ...values) => self[member](...values);
}

/** The resources that the component has, each with a number. 0 is none. */
class Handles {
  constructor() {
    /** @type {({ resource: string, value: any } | undefined)[]} */
    this.entries = [undefined];
    /** @type {number[]} */
    this.free = [];
  }

  /** @param {string} resource @param {any} value */
  add(resource, value) {
    const handle = this.free.pop() ?? this.entries.length;
    this.entries[handle] = { resource, value };
    return handle;
  }

  /** @param {string} resource @param {number} handle */
  get(resource, handle) {
    const entry = this.entries[handle];
    if (entry?.resource !== resource) throw new Error(`the handle ${handle} is no ${resource}`);
    return entry.value;
  }

  /** @param {string} resource @param {number} handle */
  take(resource, handle) {
    const value = this.get(resource, handle);
    this.entries[handle] = undefined;
    this.free.push(handle);
    return value;
  }

  /** Drops what is left. */
  clear() {
    for (const entry of this.entries.splice(1)) entry?.value.drop?.();
    this.free = [];
  }
}

/**
 * A way for the component to wait for a promise, although its code knows no promises. `suspending` makes an import of a
 * function that may return a promise; `start` calls an export, which returns when it no longer waits.
 * @typedef {object} Waiting
 * @property {(call: (...core: any[]) => any) => any} suspending
 * @property {(exports: WebAssembly.Exports, name: string) => Promise<any>} start
 * @property {() => boolean} mayWait whether an import may return a promise now
 */

/**
 * Whether the browser has JavaScript Promise Integration, which sets the stack of the component aside while it waits.
 */
export const hasJspi = () => "Suspending" in WebAssembly && "promising" in WebAssembly;

/** @returns {Waiting} */
export function jspi() {
  const { Suspending, promising } = /** @type {any} */ (WebAssembly);
  return {
    suspending: call => new Suspending(call),
    start: (exports, name) => promising(exports[name])(),
    mayWait: () => true,
  };
}

/** A component that runs. */
export class Instance {
  /**
   * @param {Awaited<ReturnType<typeof compile>>} component
   * @param {Host} host
   * @param {Waiting} waiting
   */
  constructor({ module, run }, host, waiting) {
    this.handles = new Handles();
    this.waiting = waiting;
    this.run = run;
    /** @type {WebAssembly.Imports} */
    const imports = {};
    for (const { module: from, name } of WebAssembly.Module.imports(module)) {
      imports[from] ??= {};
      imports[from][name] = this.importOf(unversioned(`${from}.${name}`), host);
    }
    this.exports = /** @type {any} */ (new WebAssembly.Instance(module, imports).exports);
    this.lastView = new DataView(this.exports.memory.buffer);
  }

  /** The memory of the component. When it grows, its old buffer is gone. */
  get view() {
    const { buffer } = this.exports.memory;
    if (this.lastView.buffer !== buffer) this.lastView = new DataView(buffer);
    return this.lastView;
  }

  /**
   * Calls `run`. The promise has the exit code, or is rejected if the component fails.
   * @returns {Promise<number>}
   */
  async start() {
    const core = await this.waiting.start(this.exports, this.run);
    return RUN_RESULT.lift?.(this, [core], 0) instanceof Err ? 1 : 0;
  }

  /**
   * @param {string} name
   * @param {Host} host
   */
  importOf(name, host) {
    const { types, starts, end, results, isStored } = /** @type {ReturnType<typeof typesOf>} */ (FUNCTIONS.get(name));
    const call = hostFunction(name, host);
    const lower = (/** @type {any[]} */ core, /** @type {any} */ value) =>
      isStored ? results?.store?.(this, core[end] >>> 0, value) : results?.lower?.(this, value);
    const imported = (/** @type {any[]} */ ...core) => {
      const value = call(...types.map((type, i) => type.lift?.(this, core, starts[i])));
      return value instanceof Promise ? value.then(value => lower(core, value)) : lower(core, value);
    };
    return MAY_WAIT.includes(name) ? this.waiting.suspending(imported) : imported;
  }

  /** @param {number} at @param {number} length */
  bytes(at, length) {
    return new Uint8Array(this.view.buffer, at >>> 0, length >>> 0);
  }

  /** Memory of the component for a value, which the component frees. @param {number} size @param {number} align */
  allocate(size, align) {
    return size === 0 ? align : this.exports.cabi_realloc(0, 0, align, size) >>> 0;
  }

  /** @param {number} at @param {Uint8Array} bytes */
  storeBytes(at, bytes) {
    const copy = this.allocate(bytes.length, 1);
    this.bytes(copy, bytes.length).set(bytes);
    this.storePair(at, copy, bytes.length);
  }

  /** @param {number} at @param {number} first @param {number} second */
  storePair(at, first, second) {
    this.view.setUint32(at, first, true);
    this.view.setUint32(at + 4, second, true);
  }
}
