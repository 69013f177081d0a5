// How a component waits in a browser without JavaScript Promise Integration, such as Safari: an interpreter for a few
// of its functions.
//
// The component waits in `poll`, with its callers on the stack, and such a browser cannot set the stack of WebAssembly
// aside. An interpreter can, because its stack is an array. It is slow, so it runs only the functions that can be on
// the stack while the component waits. The browser compiles and runs all others, as usual.
//
// Until the component waits for the first time, the interpreter runs every function: so all that are on the stack then
// are interpreted. From then on it starts only those that reach `poll` by direct calls. If `poll` has to wait below a
// function that the browser runs, the component fails, with a message that says so.

/** @typedef {{ parameters: number, results: number }} Signature of a function: how many values it takes and returns */
/** @typedef {{ pc: number, height: number, arity: number }} Label where a branch goes, and the stack there */
/** @typedef {{ op: number, a: any, b: any }} Instruction an opcode, and what follows it */
/** @typedef {{ code: Instruction[], locals: (number | bigint)[] }} Body of a function */

/**
 * The instructions that only compute, or use the memory. From an opcode on, so many in a row have these operands and
 * this result: i is i32, l is i64, f is f32, d is f64. From 0xfc00 on an opcode has two bytes.
 */
const OPERATORS = {
  0x28: "1i>i 1i>l 1i>f 1i>d 4i>i 6i>l 1ii> 1il> 1if> 1id> 2ii> 3il> 1>i 1i>i",
  0x45: "1i>i 10ii>i 1l>i 10ll>i 6ff>i 6dd>i 3i>i 15ii>i 3l>l 15ll>l 7f>f 7ff>f 7d>d 7dd>d",
  0xa7: "1l>i 2f>i 2d>i 2i>l 2f>l 2d>l 2i>f 2l>f 1d>f 2i>d 2l>d 1f>d 1f>i 1d>l 1i>f 1l>d 2i>i 3l>l",
  0xfc00: "2f>i 2d>i 2f>l 2d>l",
  0xfc0a: "2iii>",
};
/** Up to here an opcode is followed by the alignment and the offset of an address. */
const LAST_WITH_ADDRESS = 0x3e;

// The opcodes of the interpreter itself: for operators, by the number of their operands, and for the end of a function.
const OPERATOR_0 = 0xe0;
const OPERATOR_1 = 0xe1;
const OPERATOR_2 = 0xe2;
const OPERATOR_3 = 0xe3;
const LOAD = 0xe4;
const STORE = 0xe5;
const RETURN = 0xe6;

const VALUE_TYPES = { i: 0x7f, l: 0x7e, f: 0x7d, d: 0x7c };

/** @type {Map<number, { operands: string, result: string }>} by opcode */
const operatorTypes = new Map();
for (const [first, runs] of Object.entries(OPERATORS)) {
  let opcode = Number(first);
  for (const [, count, operands, result] of runs.matchAll(/(\d+)(\w*)>(\w?)/g)) {
    for (const end = opcode + Number(count); opcode < end; opcode++) operatorTypes.set(opcode, { operands, result });
  }
}

/** How many numbers follow an operator's opcode: those of an address, or of memories. @param {number} opcode */
function immediates(opcode) {
  if (opcode <= LAST_WITH_ADDRESS || opcode === 0xfc0a) return 2;
  return opcode < 0x45 || opcode === 0xfc0b ? 1 : 0;
}

// --- Writing a module ---

/** A number in LEB128, as all numbers in a module. @param {number} number @returns {number[]} */
const leb = number => (number < 128 ? [number] : [(number & 127) | 128, ...leb(number >>> 7)]);

/** @param {number[]} bytes */
const sized = bytes => [...leb(bytes.length), ...bytes];

/** @param {string} text */
const named = text => sized([...new TextEncoder().encode(text)]);

/** @template T @param {number} kind @param {T[]} items @param {(item: T, index: number) => number[]} write */
const section = (kind, items, write) => [kind, ...sized([...leb(items.length), ...items.flatMap(write)])];

/**
 * A module with one function for each operator, so that the browser computes them: with the rules of WebAssembly for
 * overflow, for a division by zero and for the end of the memory.
 */
function operatorModule() {
  const operators = [...operatorTypes];
  const values = (/** @type {string} */ letters) =>
    sized([...letters].map(letter => VALUE_TYPES[/** @type {"i"} */ (letter)]));
  const body = (/** @type {number} */ opcode, /** @type {number} */ operands) => {
    const get = Array.from({ length: operands }, (_, local) => [0x20, local]).flat();
    const bytes = opcode < 0x100 ? [opcode] : [opcode >> 8, opcode & 0xff];
    return sized([0, ...get, ...bytes, ...Array(immediates(opcode)).fill(0), 0x0b]);
  };
  return new Uint8Array([
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, operators, ([, { operands, result }]) => [0x60, ...values(operands), ...values(result)]),
    ...section(2, ["memory"], memory => [...named(""), ...named(memory), 2, 0, 0]),
    ...section(3, operators, (_, index) => leb(index)),
    ...section(7, operators, ([opcode], index) => [...named(`${opcode}`), 0, ...leb(index)]),
    ...section(10, operators, ([opcode, { operands }]) => body(opcode, operands.length)),
  ]);
}

// --- Reading a module ---

class Reader {
  /** @param {Uint8Array} bytes */
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
  }

  byte() {
    return this.bytes[this.at++];
  }

  /** The bits of a number, and how many there are. */
  bits() {
    let [bits, shift] = [0, 0];
    for (;;) {
      const byte = this.byte();
      bits |= (byte & 127) << shift;
      shift += 7;
      if (byte < 128) return { bits, shift };
    }
  }

  /** An unsigned number of 32 bits. */
  number() {
    return this.bits().bits >>> 0;
  }

  /** A signed number of 32 bits. */
  i32() {
    const { bits, shift } = this.bits();
    return shift < 32 ? (bits << (32 - shift)) >> (32 - shift) : bits;
  }

  /** A signed number of 64 bits. */
  i64() {
    let [value, shift] = [0n, 0];
    for (;;) {
      const byte = this.byte();
      value |= BigInt(byte & 127) << BigInt(shift);
      shift += 7;
      if (byte < 128) return BigInt.asIntN(Math.min(shift, 64), value);
    }
  }

  bytesOf(length = this.number()) {
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }

  /** @template T @param {(index: number) => T} item @returns {T[]} */
  list(item) {
    return Array.from({ length: this.number() }, (_, index) => item(index));
  }
}

/**
 * Reads a core module, which the browser has found valid.
 * @param {Uint8Array} core
 * @param {(name: string) => boolean} mayWait by the name of an import: interface and function
 */
export function readProgram(core, mayWait) {
  const reader = new Reader(core);
  /** @type {Signature[]} */
  let types = [];
  /** @type {Signature[]} the imports come first */
  const functions = [];
  /** @type {Set<number>} the functions that can wait, by index */
  const waiting = new Set();
  /** @type {Uint8Array[]} of the functions that are no imports */
  let bodies = [];
  /** @type {number[][]} for each function, those that call it directly */
  const callers = [];
  let [imports, globals] = [0, 0];
  /** @type {Map<string, number>} the exported functions */
  const entries = new Map();
  /** @type {number[]} the functions that an indirect call can reach, by their place. Rust never changes it. */
  const table = [];
  /** @type {ArrayLike<number>[]} the same module, with every function and every global exported */
  const parts = [reader.bytesOf(8)];
  /** @type {number[][]} */
  const exports = [];
  const exportAll = (/** @type {string} */ what, /** @type {number} */ kind, /** @type {number} */ count) => {
    for (let index = 0; index < count; index++) exports.push([...named(`${what} ${index}`), kind, ...leb(index)]);
  };
  while (reader.at < core.length) {
    const start = reader.at;
    const kind = reader.byte();
    const end = reader.number() + reader.at;
    if (kind === 1) {
      types = reader.list(() => {
        reader.byte();
        return { parameters: reader.bytesOf().length, results: reader.bytesOf().length };
      });
    } else if (kind === 2) {
      reader.list(() => {
        const [from, name] = [reader.bytesOf(), reader.bytesOf()].map(bytes => new TextDecoder().decode(bytes));
        if (reader.byte() !== 0) throw new Error("a component imports functions only");
        if (mayWait(`${from}.${name}`)) waiting.add(functions.length);
        functions.push(types[reader.number()]);
      });
      imports = functions.length;
    } else if (kind === 3) {
      reader.list(() => functions.push(types[reader.number()]));
    } else if (kind === 6) {
      globals = reader.number();
      exportAll("global", 3, globals);
    } else if (kind === 7) {
      exportAll("function", 0, functions.length);
      reader.list(() => {
        const from = reader.at;
        const name = new TextDecoder().decode(reader.bytesOf());
        const isFunction = reader.byte() === 0;
        const index = reader.number();
        if (isFunction) entries.set(name, index);
        exports.push([...core.subarray(from, reader.at)]);
      });
    } else if (kind === 9) {
      reader.list(() => {
        const isActive = reader.number() === 0 && reader.byte() === 0x41;
        if (!isActive) throw new Error("the table of functions has an unknown form");
        const start = reader.i32();
        reader.byte();
        reader.list(index => (table[start + index] = reader.number()));
      });
    } else if (kind === 10) {
      bodies = reader.list(index => {
        const bytes = reader.bytesOf();
        const caller = imports + index;
        decode(bytes, functions[caller], types, functions, callee => (callers[callee] ??= []).push(caller));
        return bytes;
      });
    }
    reader.at = end;
    parts.push(kind === 7 ? section(7, exports, bytes => bytes) : core.subarray(start, end));
  }
  // A set that grows while it is walked through is walked through to its end.
  for (const callee of waiting) for (const caller of callers[callee] ?? []) waiting.add(caller);
  const module = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  parts.reduce((at, part) => (module.set(part, at), at + part.length), 0);
  /** @type {Body[]} */
  const decoded = [];
  const body = (/** @type {number} */ index) => {
    return (decoded[index] ??= decode(bodies[index - imports], functions[index], types, functions));
  };
  return { module, functions, imports, globals, entries, table, body, waiting };
}

/**
 * Decodes a function, and finds where each branch goes.
 * @param {Uint8Array} bytes
 * @param {Signature} signature
 * @param {Signature[]} types
 * @param {Signature[]} functions
 * @param {(callee: number) => void} [called] takes the functions that this one calls directly; then there is no code
 * @returns {Body}
 */
function decode(bytes, signature, types, functions, called) {
  const reader = new Reader(bytes);
  const locals = reader.list(() => Array(reader.number()).fill(reader.byte() === VALUE_TYPES.l ? 0n : 0)).flat();
  /** @type {Instruction[]} */
  const code = [];
  /** The height of the stack, from the first parameter on. */
  let height = signature.parameters + locals.length;
  /** False behind a branch, until its block ends. */
  let isLive = !called;
  /** @param {number} op @param {number} effect on the height @param {any} [a] @param {any} [b] */
  const emit = (op, effect, a, b) => {
    if (!isLive) return;
    code.push({ op, a, b });
    height += effect;
  };
  /** @type {Label} */
  const exit = { pc: 0, height: 0, arity: signature.results };
  /** @type {{ label: Label, isLoop: boolean, otherwise?: Label, end: number, isLive: boolean }[]} */
  const blocks = [{ label: exit, isLoop: false, end: 0, isLive }];
  const label = () => blocks[blocks.length - 1 - reader.number()].label;
  while (blocks.length > 0) {
    const op = reader.byte();
    const block = blocks[blocks.length - 1];
    switch (op) {
      case 0x00: // unreachable
        emit(op, 0);
        isLive = false;
        break;
      case 0x01: // nop
        break;
      case 0x02: // block
      case 0x03: // loop
      case 0x04: {
        // if
        const kind = reader.byte();
        if (kind !== 0x40 && kind < VALUE_TYPES.d) throw new Error("the interpreter has no blocks with parameters");
        const results = kind === 0x40 ? 0 : 1;
        const otherwise = op === 0x04 ? { pc: 0, height: 0, arity: 0 } : undefined;
        if (otherwise) emit(op, -1, otherwise);
        const isLoop = op === 0x03;
        const target = { pc: code.length, height, arity: isLoop ? 0 : results };
        blocks.push({ label: target, isLoop, otherwise, end: height + results, isLive });
        break;
      }
      case 0x05: // else
        emit(0x0c, 0, block.label);
        if (block.otherwise) block.otherwise.pc = code.length;
        block.otherwise = undefined;
        isLive = block.isLive;
        height = block.label.height;
        break;
      case 0x0b: // end
        blocks.pop();
        if (block.label === exit) emit(0x0c, 0, exit);
        if (!block.isLoop) block.label.pc = code.length;
        if (block.otherwise) block.otherwise.pc = code.length;
        isLive = block.isLive;
        height = block.end;
        break;
      case 0x0c: // br
        emit(op, 0, label());
        isLive = false;
        break;
      case 0x0d: // br_if
        emit(op, -1, label());
        break;
      case 0x0e: // br_table
        emit(op, -1, reader.list(label), label());
        isLive = false;
        break;
      case 0x0f: // return
        emit(0x0c, 0, exit);
        isLive = false;
        break;
      case 0x10: {
        // call
        const callee = reader.number();
        called?.(callee);
        emit(op, functions[callee].results - functions[callee].parameters, callee);
        break;
      }
      case 0x11: {
        // call_indirect
        const { parameters, results } = types[reader.number()];
        reader.number();
        emit(op, results - parameters - 1);
        break;
      }
      case 0x1a: // drop
        emit(op, -1);
        break;
      case 0x1b: // select
        emit(op, -2);
        break;
      case 0x20: // local.get
      case 0x23: // global.get
        emit(op, 1, reader.number());
        break;
      case 0x21: // local.set
      case 0x24: // global.set
        emit(op, -1, reader.number());
        break;
      case 0x22: // local.tee
        emit(op, 0, reader.number());
        break;
      case 0x41: // i32.const
        emit(0x41, 1, reader.i32());
        break;
      case 0x42: // i64.const
        emit(0x41, 1, reader.i64());
        break;
      default: {
        const opcode = op === 0xfc ? (op << 8) | reader.number() : op;
        const operator = operatorTypes.get(opcode);
        if (!operator) throw new Error(`the interpreter has no instruction 0x${opcode.toString(16)}`);
        const count = operator.operands.length;
        const numbers = Array.from({ length: immediates(opcode) }, () => reader.number());
        const own = opcode > LAST_WITH_ADDRESS ? OPERATOR_0 + count : count === 1 ? LOAD : STORE;
        emit(own, operator.result.length - count, opcode, numbers[1]);
      }
    }
  }
  emit(RETURN, 0);
  return { code, locals };
}

// --- Running ---

/** An address, which is behind the end of the memory if it is too high. @param {number} start @param {number} offset */
const address = (start, offset) => Math.min((start >>> 0) + offset, 0xffffffff);

/**
 * Lets a component wait by the interpreter.
 * @param {ReturnType<typeof readProgram>} program
 * @returns {import("./component.js").Waiting}
 */
export function interpreting(program) {
  const { functions, imports, table, waiting } = program;
  /** Whether the interpreter itself calls an import, and not a function that the browser runs. */
  let isDirect = false;
  /** @type {Promise<any> | undefined} what the import waits for */
  let promise;

  /** @param {any} exports @param {number} entry @returns {Generator<Promise<any>, any, void>} */
  function* run(exports, entry) {
    const compiled = functions.map((_, index) => exports[`function ${index}`]);
    const globals = Array.from({ length: program.globals }, (_, index) => exports[`global ${index}`]);
    const module = new WebAssembly.Module(operatorModule());
    const named = new WebAssembly.Instance(module, { "": { memory: exports.memory } }).exports;
    const operators = /** @type {any[]} */ ([]);
    for (const opcode of operatorTypes.keys()) operators[opcode] = named[opcode];

    let hasWaited = false;
    /** @type {any[]} the locals and operands of all functions that are under way, one after the other */
    const stack = [...program.body(entry).locals];
    /** @type {{ code: Instruction[], pc: number, base: number }[]} the callers of the function that runs */
    const frames = [];
    let { code } = program.body(entry);
    let pc = 0;
    let base = 0;
    let top = stack.length;
    const branch = (/** @type {Label} */ label) => {
      const to = base + label.height;
      for (let i = 0; i < label.arity; i++) stack[to + i] = stack[top - label.arity + i];
      top = to + label.arity;
      pc = label.pc;
    };
    for (;;) {
      const { op, a, b } = code[pc++];
      let callee = a;
      switch (op) {
        case 0x00: // unreachable
          throw new WebAssembly.RuntimeError("unreachable");
        case 0x04: // if
          if (stack[--top] === 0) pc = a.pc;
          continue;
        case 0x0c: // br
          branch(a);
          continue;
        case 0x0d: // br_if
          if (stack[--top] !== 0) branch(a);
          continue;
        case 0x0e: // br_table
          branch(a[stack[--top] >>> 0] ?? b);
          continue;
        case 0x1a: // drop
          top -= 1;
          continue;
        case 0x1b: // select
          top -= 2;
          if (stack[top + 1] === 0) stack[top - 1] = stack[top];
          continue;
        case 0x20: // local.get
          stack[top++] = stack[base + a];
          continue;
        case 0x21: // local.set
          stack[base + a] = stack[--top];
          continue;
        case 0x22: // local.tee
          stack[base + a] = stack[top - 1];
          continue;
        case 0x23: // global.get
          stack[top++] = globals[a].value;
          continue;
        case 0x24: // global.set
          globals[a].value = stack[--top];
          continue;
        case 0x41: // i32.const, i64.const
          stack[top++] = a;
          continue;
        case OPERATOR_0:
          stack[top++] = operators[a]();
          continue;
        case OPERATOR_1:
          stack[top - 1] = operators[a](stack[top - 1]);
          continue;
        case OPERATOR_2:
          top -= 1;
          stack[top - 1] = operators[a](stack[top - 1], stack[top]);
          continue;
        case OPERATOR_3: // memory.copy, memory.fill
          top -= 3;
          operators[a](stack[top], stack[top + 1], stack[top + 2]);
          continue;
        case LOAD:
          stack[top - 1] = operators[a](address(stack[top - 1], b));
          continue;
        case STORE:
          top -= 2;
          operators[a](address(stack[top], b), stack[top + 1]);
          continue;
        case RETURN: {
          const caller = frames.pop();
          if (!caller) return stack[0];
          ({ code, pc, base } = caller);
          continue;
        }
        case 0x11: // call_indirect
          callee = table[stack[--top] >>> 0];
          if (callee === undefined) throw new WebAssembly.RuntimeError("null function");
      }
      // Here it is a call.
      const { parameters, results } = functions[callee];
      top -= parameters;
      if (callee >= imports && (!hasWaited || waiting.has(callee))) {
        frames.push({ code, pc, base });
        const body = program.body(callee);
        code = body.code;
        pc = 0;
        base = top;
        top += parameters;
        for (const value of body.locals) stack[top++] = value;
        continue;
      }
      isDirect = callee < imports;
      const result = compiled[callee](...stack.slice(top, top + parameters));
      isDirect = false;
      if (promise) {
        const awaited = promise;
        promise = undefined;
        hasWaited = true;
        yield awaited;
      }
      if (results > 0) stack[top++] = result;
    }
  }

  /** @param {(...core: any[]) => any} call */
  function suspending(call) {
    return (/** @type {any[]} */ ...core) => {
      const value = call(...core);
      if (!(value instanceof Promise)) return value;
      if (!isDirect) throw new WebAssembly.RuntimeError("the component waits in a function that is not interpreted");
      promise = value;
      return undefined;
    };
  }

  /** @param {WebAssembly.Exports} exports @param {string} name */
  async function start(exports, name) {
    const steps = run(exports, /** @type {number} */ (program.entries.get(name)));
    for (;;) {
      const step = steps.next();
      if (step.done) return step.value;
      await step.value;
    }
  }

  return { suspending, start, mayWait: () => isDirect };
}
