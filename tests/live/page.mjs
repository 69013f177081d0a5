// Tests the functions of tab/wire.js that need no browser: node --test tests/live/page.mjs
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

const read = path => readFileSync(new URL(path, import.meta.url), "utf8");
const source = Buffer.from(read("../../tab/wire.js")).toString("base64");
const { Model, Reader, asCommand, decode, faultPlace, hexDump } = await import(`data:text/javascript;base64,${source}`);

const GET = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

test("escapes become bytes", () => {
  assert.equal(decode('a\\r\\n\\t\\\\\\x00\\xff\\"'), 'a\r\n\t\\\0\xff"');
  assert.equal(decode("\\\\x41"), "\\x41");
});

test("a dump has offsets, numbers and text", () => {
  assert.equal(hexDump("GET /\r\nab", 8), "0000  47 45 54 20 2f 0d 0a 61  GET /..a\n0008  62                       b");
});

/** Each piece as `message part bytes`. */
const pieces = (reader, ...reads) =>
  reads.flatMap(bytes => reader.feed(bytes)).map(piece => `${piece.message} ${piece.part} ${piece.bytes}`);

test("a reader finds messages, heads and bodies, however they are cut", () => {
  const post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
  assert.deepEqual(pieces(new Reader(false), GET + post), [
    `1 head ${GET}`,
    `2 head ${post.slice(0, -3)}`,
    "2 body abc",
  ]);
  for (let at = 1; at < post.length; at++) {
    const reader = new Reader(false);
    reader.feed(post.slice(0, at));
    assert.ok(reader.isInside, `half at ${at}`);
    reader.feed(post.slice(at));
    assert.deepEqual([reader.message, reader.complete, reader.isInside], [1, 1, false], `whole at ${at}`);
  }
});

test("a reader follows chunks, and skips what was not shown", () => {
  const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
  for (let at = 1; at < chunked.length; at++) {
    const reader = new Reader(true, ["GET"]);
    reader.feed(chunked.slice(0, at));
    assert.ok(reader.isInside, `half at ${at}`);
    reader.feed(chunked.slice(at));
    assert.ok(!reader.isInside, `whole at ${at}`);
  }
  const reader = new Reader(false);
  reader.feed("POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\n0123456789", 90);
  assert.equal(reader.complete, 1);
});

test("the answer to HEAD has no body", () => {
  const head = "HTTP/1.1 200 OK\r\nContent-Length: 41\r\n\r\n";
  const reader = new Reader(true, ["HEAD", "GET"]);
  reader.feed(head);
  assert.equal(reader.complete, 1);
  reader.feed(head);
  assert.ok(reader.isInside);
});

test("curl sends what curl can send, and nc the rest", () => {
  assert.equal(
    asCommand(GET, "127.0.0.1:9000"),
    "curl -i --path-as-is --globoff http://127.0.0.1:9000/ -H 'User-Agent:' -H 'Accept:' -H 'Host: localhost'",
  );
  assert.equal(
    asCommand("GET /it's HTTP/1.1\nHost: a\n\n", "[::1]:9000"),
    "printf 'GET /it'\\''s HTTP/1.1\\nHost: a\\n\\n' | nc ::1 9000",
  );
  assert.equal(asCommand("\x16\x03%", "127.0.0.1:9000"), "printf '\\026\\003%%' | nc 127.0.0.1 9000");
  const post = "POST /a;b HTTP/1.1\r\nHost: h:1\r\nContent-Length: 5\r\n\r\n@/etc";
  assert.match(asCommand(post, "h:1"), /^printf '@\/etc' \| curl .* -X POST 'http:\/\/h:1\/a;b' .* --data-binary @-$/);
});

/** Each request with a mistake, and the bytes that are marked; `<` and `>` stand around them. The order is that of fault.rs. */
const MISTAKES = {
  Tls: "<\x16\x03\x01>\x02",
  EmptyRequestLine: "<\r\n\r\n>",
  Method: "\r\n<G@T >/ HTTP/1.1\r\n",
  MethodTooLong: "<GETGETGETGETGETGETGETGETGETGETGETGET> / HTTP/1.1\r\n",
  VersionMissing: "GET /<\r\n>",
  TargetMissing: "<GET HTTP/1.1>\r\n",
  RequestLine: "<GET  / HTTP/1.1>\r\n",
  Version: "GET / <http/1.1>\r\n",
  VersionNotSupported: "GET / <HTTP/3.0>\r\nHost: a\r\n\r\n",
  TargetByte: "GET /caf<\xc3>\xa9 HTTP/1.1\r\n",
  TargetFragment: "GET /a<#b> HTTP/1.1\r\n",
  TargetForm: "GET <a> HTTP/1.1\r\n",
  TargetTooLong: "GET </000> HTTP/1.1\r\n",
  Misdirected: "GET <https://a/> HTTP/1.1\r\n",
  MethodNotAllowed: "<TRACE> / HTTP/1.1\r\n",
  ObsoleteFold: "GET / HTTP/1.1\r\nA: b\r\n< >c\r\n",
  BlankBeforeColon: "GET / HTTP/1.1\r\nHost< >: a\r\n",
  FieldName: "GET / HTTP/1.1\r\nHost: a\r\n<no colon>\r\n",
  FieldValue: "GET / HTTP/1.1\r\nA: <\0>\r\n",
  BareCarriageReturn: "GET / HTTP/1.1\r\nA: b<\r>c\r\n",
  HostMissing: "GET / HTTP/1.1\r\nA: b\r\n<\r\n>",
  HostRepeated: "GET / HTTP/1.1\r\nHost: a\r\n<host: b>\r\n\r\n",
  HostMalformed: "GET / HTTP/1.1\r\n<Host: a b>\r\n\r\n",
  ContentLength: "GET / HTTP/1.1\r\nHost: a\r\n<Content-Length: +1>\r\n",
  ContentLengthRepeated: "GET / HTTP/1.1\r\nContent-Length: 1\r\n<Content-Length: 1>\r\n",
  LengthAndCoding: "GET / HTTP/1.1\r\nContent-Length: 1\r\n<Transfer-Encoding: chunked>\r\n",
  CodingInHttp10: "GET / HTTP/1.0\r\n<Transfer-Encoding: chunked>\r\n",
  ChunkedNotLast: "GET / HTTP/1.1\r\n<Transfer-Encoding: chunked, gzip>\r\n",
  CodingUnknown: "GET / HTTP/1.1\r\n<Transfer-Encoding: gzip>\r\n",
  Expectation: "GET / HTTP/1.1\r\n<Expect: tea>\r\n",
};

/** The faults whose place is only known to be before the last byte. */
const ANYWHERE = [
  "HeadTooLong",
  "TooManyFields",
  "BodyTooLong",
  "Chunk",
  "Trailer",
  "ChunkOverheadTooLong",
  "Timeout",
  "Incomplete",
];

test("each fault of the server is marked in the bytes", () => {
  const table = read("../../src/http/fault.rs").split("\nfaults! {")[1].split("\n}\n")[0];
  const faults = [...table.matchAll(/^ {4}(\w+), \d+, "[^"]*",\s*"((?:[^"\\]|\\[^])*)";/gm)];
  assert.equal(faults.length, (table.match(/^ {4}\w+, \d+,/gm) ?? []).length);
  for (const [, fault, quoted] of faults) {
    const sentence = quoted.replace(/\\\n\s*/g, "");
    const marked = MISTAKES[fault];
    if (marked === undefined) {
      assert.ok(ANYWHERE.includes(fault), `${fault} has an example`);
      assert.deepEqual(faultPlace(sentence, "GET /"), { from: 4, to: 5, isKnown: false }, fault);
      continue;
    }
    const bytes = marked.replace(/[<>]/g, "");
    for (const told of [sentence, sentence.replace(/<[^>]*>/g, "`"), sentence.replace(/<[^>]*>/g, "")]) {
      const { from, to, isKnown } = faultPlace(told, bytes);
      assert.ok(isKnown, fault);
      assert.equal(`${bytes.slice(0, from)}<${bytes.slice(from, to)}>${bytes.slice(to)}`, marked, fault);
    }
  }
});

/** A model after these events. The connection is 1 unless an event says so. */
function after(...events) {
  const model = new Model();
  events.forEach((event, at) =>
    model.add({ v: 1, time: at / 1000, connection: 1, peer: "127.0.0.1:50000", ...event }, at),
  );
  return model;
}
const state = (model, id = 1, local = 100) => model.state(model.connections.get(id), local)[1];
const said = text => ({
  event: "received",
  bytes: text.length,
  text: text.replace(/\r/g, "\\r").replace(/\n/g, "\\n"),
});
const answered = { event: "responded", line: "GET / HTTP/1.1", status: 200, reason: "OK", body_bytes: 41 };

test("each state of a connection has its words", () => {
  const accepted = { event: "accepted" };
  assert.match(state(after(accepted)), /^waiting/);
  assert.match(state(after(accepted, said("GET / HT"))), /half a request: 8 bytes; the empty line/);
  assert.match(state(after(accepted, said("POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\na"))), /8 bytes of the body/);
  assert.match(state(after(accepted, said(GET))), /makes the answer/);
  assert.match(state(after(accepted, said(GET), answered)), /^answered and idle/);
  assert.match(state(after(accepted, said(GET), answered, { event: "closed", reason: "evicted" })), /^evicted/);
  assert.match(
    state(after(accepted, said(GET), { event: "skipped", count: 9, requests: 3, seconds: 1, connection: undefined })),
    /perhaps not all/,
  );
  const spare = { event: "accepted", connection: 2, peer: "127.0.0.1:50001" };
  const browser = said("GET / HTTP/1.1\r\nUser-Agent: Mozilla/5.0\r\n\r\n");
  assert.match(state(after(accepted, spare, browser), 2), /^waiting/);
  assert.match(state(after(accepted, spare, browser), 2, 2000), /^a spare connection/);
  assert.match(state(after(accepted, spare, said(GET)), 2, 2000), /same client/);
});

test("a client has a name, put before or after its first event", () => {
  const model = new Model();
  const accept = connection =>
    model.add({ event: "accepted", connection, peer: `127.0.0.1:${50000 + connection}`, time: 1 }, 0);
  model.names.set("127.0.0.1:50001", "a browser");
  for (const connection of [1, 2, 3]) accept(connection);
  model.names.set("127.0.0.1:50002", "a browser");
  assert.deepEqual(
    [...model.connections.values()].map(({ client }) => client),
    ["a browser", "a browser", "127.0.0.1:50003"],
  );
  model.add({ event: "received", connection: 1, ...said("GET / HTTP/1.1\r\nUser-Agent: Mozilla/5.0\r\n\r\n") }, 0);
  assert.match(state(model, 2, 2000), /^a spare connection/);
  assert.match(state(model, 3, 2000), /^waiting/);
});

test("the last 1,000 events are kept, and another run of the server clears them", () => {
  const model = new Model();
  model.add({ v: 1, event: "hello", run: "a", address: "127.0.0.1:9000" }, 0);
  for (let id = 1; id <= 2000; id++) {
    for (const event of [{ event: "accepted" }, { event: "closed", reason: "peer-finished" }]) {
      model.add({ v: 1, time: id, connection: id, peer: "127.0.0.1:50000", ...event }, id);
    }
  }
  assert.deepEqual([model.events.length, model.connections.size], [1000, 500]);
  model.add({ v: 1, time: 2001, event: "accepted", connection: 2001, peer: "127.0.0.1:50000" }, 0);
  model.add({ v: 1, event: "hello", run: "b", address: "127.0.0.1:9000" }, 0);
  assert.deepEqual([model.events.length, model.connections.size, model.isOtherRun], [0, 0, true]);
});
