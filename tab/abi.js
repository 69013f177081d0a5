// The functions of wit/world.wit: their types, and the types of WebAssembly that these become. Generated; do not edit. To
// write this file anew: HELLO_BLESS=1 cargo test --locked --test contract the_tab_knows

/** @typedef {string | any[]} Name a simple type, a type in TYPES, or a list of a kind and its parts */
/** @typedef {{ params: Record<string, Name>, result: Name | null, core: string }} Signature */

/** The types that have a name. @type {Record<string, any[]>} */
// prettier-ignore
export const TYPES = {
  "datetime": ["record", ["seconds", "u64"], ["nanoseconds", "u32"]],
  "error-code": ["enum", "unknown", "access-denied", "not-supported", "invalid-argument", "out-of-memory", "timeout", "concurrency-conflict", "not-in-progress", "would-block", "invalid-state", "new-socket-limit", "address-not-bindable", "address-in-use", "remote-unreachable", "connection-refused", "connection-reset", "connection-aborted", "datagram-too-large", "name-unresolvable", "temporary-resolver-failure", "permanent-resolver-failure"],
  "ip-address-family": ["enum", "ipv4", "ipv6"],
  "ip-socket-address": ["variant", ["ipv4", "ipv4-socket-address"], ["ipv6", "ipv6-socket-address"]],
  "ipv4-socket-address": ["record", ["port", "u16"], ["address", ["tuple", "u8", "u8", "u8", "u8"]]],
  "ipv6-socket-address": ["record", ["port", "u16"], ["flow-info", "u32"], ["address", ["tuple", "u16", "u16", "u16", "u16", "u16", "u16", "u16", "u16"]], ["scope-id", "u32"]],
  "shutdown-type": ["enum", "receive", "send", "both"],
  "stream-error": ["variant", ["last-operation-failed", ["own", "error"]], ["closed", null]],
};

/** What the host has to offer. @type {Record<string, Signature>} */
// prettier-ignore
export const IMPORTS = {
  "wasi:cli/environment.get-arguments": { params: {}, result: ["list", "string"], core: "i32 ->" },
  "wasi:cli/environment.get-environment": { params: {}, result: ["list", ["tuple", "string", "string"]], core: "i32 ->" },
  "wasi:cli/exit.exit": { params: { status: ["result", null, null] }, result: null, core: "i32 ->" },
  "wasi:cli/stderr.get-stderr": { params: {}, result: ["own", "output-stream"], core: "-> i32" },
  "wasi:cli/stdin.get-stdin": { params: {}, result: ["own", "input-stream"], core: "-> i32" },
  "wasi:cli/stdout.get-stdout": { params: {}, result: ["own", "output-stream"], core: "-> i32" },
  "wasi:cli/terminal-input.[resource-drop]terminal-input": { params: { self: ["own", "terminal-input"] }, result: null, core: "i32 ->" },
  "wasi:cli/terminal-output.[resource-drop]terminal-output": { params: { self: ["own", "terminal-output"] }, result: null, core: "i32 ->" },
  "wasi:cli/terminal-stderr.get-terminal-stderr": { params: {}, result: ["option", ["own", "terminal-output"]], core: "i32 ->" },
  "wasi:cli/terminal-stdin.get-terminal-stdin": { params: {}, result: ["option", ["own", "terminal-input"]], core: "i32 ->" },
  "wasi:cli/terminal-stdout.get-terminal-stdout": { params: {}, result: ["option", ["own", "terminal-output"]], core: "i32 ->" },
  "wasi:clocks/monotonic-clock.now": { params: {}, result: "u64", core: "-> i64" },
  "wasi:clocks/monotonic-clock.subscribe-duration": { params: { when: "u64" }, result: ["own", "pollable"], core: "i64 -> i32" },
  "wasi:clocks/wall-clock.now": { params: {}, result: "datetime", core: "i32 ->" },
  "wasi:io/error.[resource-drop]error": { params: { self: ["own", "error"] }, result: null, core: "i32 ->" },
  "wasi:io/poll.[method]pollable.block": { params: { self: ["borrow", "pollable"] }, result: null, core: "i32 ->" },
  "wasi:io/poll.[method]pollable.ready": { params: { self: ["borrow", "pollable"] }, result: "bool", core: "i32 -> i32" },
  "wasi:io/poll.[resource-drop]pollable": { params: { self: ["own", "pollable"] }, result: null, core: "i32 ->" },
  "wasi:io/poll.poll": { params: { in: ["list", ["borrow", "pollable"]] }, result: ["list", "u32"], core: "i32 i32 i32 ->" },
  "wasi:io/streams.[method]input-stream.read": { params: { self: ["borrow", "input-stream"], len: "u64" }, result: ["result", ["list", "u8"], "stream-error"], core: "i32 i64 i32 ->" },
  "wasi:io/streams.[method]input-stream.subscribe": { params: { self: ["borrow", "input-stream"] }, result: ["own", "pollable"], core: "i32 -> i32" },
  "wasi:io/streams.[method]output-stream.blocking-flush": { params: { self: ["borrow", "output-stream"] }, result: ["result", null, "stream-error"], core: "i32 i32 ->" },
  "wasi:io/streams.[method]output-stream.blocking-write-and-flush": { params: { self: ["borrow", "output-stream"], contents: ["list", "u8"] }, result: ["result", null, "stream-error"], core: "i32 i32 i32 i32 ->" },
  "wasi:io/streams.[method]output-stream.check-write": { params: { self: ["borrow", "output-stream"] }, result: ["result", "u64", "stream-error"], core: "i32 i32 ->" },
  "wasi:io/streams.[method]output-stream.flush": { params: { self: ["borrow", "output-stream"] }, result: ["result", null, "stream-error"], core: "i32 i32 ->" },
  "wasi:io/streams.[method]output-stream.subscribe": { params: { self: ["borrow", "output-stream"] }, result: ["own", "pollable"], core: "i32 -> i32" },
  "wasi:io/streams.[method]output-stream.write": { params: { self: ["borrow", "output-stream"], contents: ["list", "u8"] }, result: ["result", null, "stream-error"], core: "i32 i32 i32 i32 ->" },
  "wasi:io/streams.[resource-drop]input-stream": { params: { self: ["own", "input-stream"] }, result: null, core: "i32 ->" },
  "wasi:io/streams.[resource-drop]output-stream": { params: { self: ["own", "output-stream"] }, result: null, core: "i32 ->" },
  "wasi:sockets/instance-network.instance-network": { params: {}, result: ["own", "network"], core: "-> i32" },
  "wasi:sockets/network.[resource-drop]network": { params: { self: ["own", "network"] }, result: null, core: "i32 ->" },
  "wasi:sockets/tcp-create-socket.create-tcp-socket": { params: { "address-family": "ip-address-family" }, result: ["result", ["own", "tcp-socket"], "error-code"], core: "i32 i32 ->" },
  "wasi:sockets/tcp.[method]tcp-socket.accept": { params: { self: ["borrow", "tcp-socket"] }, result: ["result", ["tuple", ["own", "tcp-socket"], ["own", "input-stream"], ["own", "output-stream"]], "error-code"], core: "i32 i32 ->" },
  "wasi:sockets/tcp.[method]tcp-socket.finish-bind": { params: { self: ["borrow", "tcp-socket"] }, result: ["result", null, "error-code"], core: "i32 i32 ->" },
  "wasi:sockets/tcp.[method]tcp-socket.finish-listen": { params: { self: ["borrow", "tcp-socket"] }, result: ["result", null, "error-code"], core: "i32 i32 ->" },
  "wasi:sockets/tcp.[method]tcp-socket.local-address": { params: { self: ["borrow", "tcp-socket"] }, result: ["result", "ip-socket-address", "error-code"], core: "i32 i32 ->" },
  "wasi:sockets/tcp.[method]tcp-socket.remote-address": { params: { self: ["borrow", "tcp-socket"] }, result: ["result", "ip-socket-address", "error-code"], core: "i32 i32 ->" },
  "wasi:sockets/tcp.[method]tcp-socket.set-listen-backlog-size": { params: { self: ["borrow", "tcp-socket"], value: "u64" }, result: ["result", null, "error-code"], core: "i32 i64 i32 ->" },
  "wasi:sockets/tcp.[method]tcp-socket.set-receive-buffer-size": { params: { self: ["borrow", "tcp-socket"], value: "u64" }, result: ["result", null, "error-code"], core: "i32 i64 i32 ->" },
  "wasi:sockets/tcp.[method]tcp-socket.set-send-buffer-size": { params: { self: ["borrow", "tcp-socket"], value: "u64" }, result: ["result", null, "error-code"], core: "i32 i64 i32 ->" },
  "wasi:sockets/tcp.[method]tcp-socket.shutdown": { params: { self: ["borrow", "tcp-socket"], "shutdown-type": "shutdown-type" }, result: ["result", null, "error-code"], core: "i32 i32 i32 ->" },
  "wasi:sockets/tcp.[method]tcp-socket.start-bind": { params: { self: ["borrow", "tcp-socket"], network: ["borrow", "network"], "local-address": "ip-socket-address" }, result: ["result", null, "error-code"], core: "i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 ->" },
  "wasi:sockets/tcp.[method]tcp-socket.start-listen": { params: { self: ["borrow", "tcp-socket"] }, result: ["result", null, "error-code"], core: "i32 i32 ->" },
  "wasi:sockets/tcp.[method]tcp-socket.subscribe": { params: { self: ["borrow", "tcp-socket"] }, result: ["own", "pollable"], core: "i32 -> i32" },
  "wasi:sockets/tcp.[resource-drop]tcp-socket": { params: { self: ["own", "tcp-socket"] }, result: null, core: "i32 ->" },
};

/** What the component offers. @type {Record<string, Signature>} */
// prettier-ignore
export const EXPORTS = {
  "wasi:cli/run.run": { params: {}, result: ["result", null, null], core: "-> i32" },
};
