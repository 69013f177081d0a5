// The wire between clients and the server: words for it, the bytes of HTTP, what is known of each connection, and its drawing.
// The live page and the lesson in one file (tab/) share it. What clients say is never trusted: it becomes text, never HTML.
//
//   const wire = new Wire({ connections, server, asked, nothing, older, address, send, intoForm, drawn });
// `connections` is for the cards; `server` and `asked` are lists; `nothing` is shown while there is no connection, and `older` when
// there are too many. All but the first may be missing: `address()` is what "Copy as curl" calls, `send(binary, out)` sends a request
// again, `intoForm(binary)` is to change it; without them there is no such button. `drawn()` runs after each drawing.
//
//   wire.take(event)         takes an event of docs/events.md, and draws soon: once for all events of a frame
//   wire.name(peer, label)   "a browser" for a client, by its address, before or after its `accepted`
//   wire.captions = false    hides the words of the telephone;  wire.only = 3  shows one connection (0: all)
//   wire.clear()             forgets what is closed; take({ event: "hello", run: "2" }) forgets everything: another run
//   wire.news()              a sentence for a screen reader about what has happened since the last one, or ""
//   wire.model.connections   by number: `Connection`s, with requests, responses, answers, faults, outcome, closed, events
//   wire.model.state(connection)[1]   its state in words; model.steps and model.asked: the events of the server, the sandbox
//
// A *binary string* has one character for each byte, from \x00 to \xff: regular expressions work on it.

/** How many events are kept. */
export const KEPT = 1000;
/** How many connections are drawn, and how many of them are open without a click. */
export const DRAWN = 40;
const OPEN_BY_ITSELF = 4;
/** How many lines the lists of the server and the sandbox have. */
const LISTED = 40;
/** After so many milliseconds without a word, a connection is silent. */
const SILENT = 1000;

// ---------------------------------------------------------------------------------------------------------------- words

/** The fields of heads: what they say, and the section of the rule. @type {Record<string, About>} */
const FIELDS = {
  "accept": ["The kinds of page that the client can use, the best first.", "RFC 9110 section 12.5.1"],
  "accept-encoding": [
    "The compressions that the client can undo. The server may also send the page as it is.",
    "RFC 9110 section 12.5.3",
  ],
  "accept-language": ["The languages that the person prefers.", "RFC 9110 section 12.5.4"],
  "allow": ["The methods that may be asked here.", "RFC 9110 section 10.2.1"],
  "authorization": ["The proof of who asks, such as a password. This page never shows it.", "RFC 9110 section 11.6.2"],
  "cache-control": ["How long a copy of the page may be kept and used again.", "RFC 9111 section 5.2"],
  "connection": [
    "What happens to the connection after this message: close ends it, keep-alive keeps it.",
    "RFC 9110 section 7.6.1",
  ],
  "content-encoding": ["The compression of the body.", "RFC 9110 section 8.4"],
  "content-length": ["How many bytes the body has. So the reader knows where it ends.", "RFC 9110 section 8.6"],
  "content-type": ["What the body is, such as HTML, and how its letters are written as bytes.", "RFC 9110 section 8.3"],
  "cookie": [
    "What this server asked the browser to remember, sent back. It can log a person in, so this page never shows it.",
    "RFC 6265 section 4.2",
  ],
  "date": ["When the server made this response.", "RFC 9110 section 6.6.1"],
  "etag": [
    "A name for this version of the page. A client can ask later whether the page is still the same.",
    "RFC 9110 section 8.8.3",
  ],
  "expect": ["The client asks whether it should send the body at all, before it does.", "RFC 9110 section 10.1.1"],
  "host": [
    "The name of the machine that the client calls. One machine may answer for many names, so HTTP/1.1 requires it.",
    "RFC 9110 section 7.2",
  ],
  "if-modified-since": ["Send the page only if it has changed since this time.", "RFC 9110 section 13.1.3"],
  "if-none-match": ["Send the page only if it is no longer the version of this name.", "RFC 9110 section 13.1.2"],
  "keep-alive": ["How long the connection is kept for a next request.", "RFC 2068 section 19.7.1"],
  "last-modified": ["When the page changed last.", "RFC 9110 section 8.8.2"],
  "location": ["Where to go instead: the address of another page.", "RFC 9110 section 10.2.2"],
  "origin": ["The site whose page makes this request.", "RFC 6454 section 7"],
  "pragma": ["An old way to say that no kept copy is wanted.", "RFC 9111 section 5.4"],
  "priority": ["How urgent this request is, from 0 (most) to 7.", "RFC 9218 section 5"],
  "range": ["Only this part of the page is wanted.", "RFC 9110 section 14.2"],
  "referer": [
    "The page on which the person clicked. The name is misspelled since 1996, and stays so.",
    "RFC 9110 section 10.1.3",
  ],
  "retry-after": ["How long to wait before the next try.", "RFC 9110 section 10.2.3"],
  "server": ["The program that answers.", "RFC 9110 section 10.2.4"],
  "set-cookie": [
    "The browser should remember this, and send it with each request. This page never shows it.",
    "RFC 6265 section 4.1",
  ],
  "transfer-encoding": [
    "How the body travels: chunked means in pieces, each with its size before it.",
    "RFC 9112 section 6.1",
  ],
  "upgrade": ["The client would like to go on in another protocol.", "RFC 9110 section 7.8"],
  "upgrade-insecure-requests": ["The browser would rather use https://.", "W3C Upgrade Insecure Requests"],
  "user-agent": [
    "The program that asks. Browsers name many other browsers here, for old reasons.",
    "RFC 9110 section 10.1.5",
  ],
  "vary": ["The page may be another one if these fields of the request differ.", "RFC 9110 section 12.5.5"],
  "www-authenticate": ["How the client has to say who it is.", "RFC 9110 section 11.6.1"],
};

/** Fields with a common beginning. @type {Record<string, About>} */
const FAMILIES = {
  "sec-fetch-": [
    "Why the browser asks: for a page, a picture, from which site. Scripts of a page cannot change it.",
    "W3C Fetch Metadata",
  ],
  "sec-ch-": ["A hint about the browser and the machine it runs on.", "RFC 8942 section 2"],
  "access-control-": ["Which pages of other sites may use this answer.", "WHATWG Fetch"],
};

/** @type {Record<string, About>} */
const METHODS = {
  GET: ["Give me this page.", "RFC 9110 section 9.3.1"],
  HEAD: ["Give me only the head of this page, without its body.", "RFC 9110 section 9.3.2"],
  POST: ["Here is something for you: it is in the body.", "RFC 9110 section 9.3.3"],
  PUT: ["Keep the body under this address.", "RFC 9110 section 9.3.4"],
  DELETE: ["Remove what is under this address.", "RFC 9110 section 9.3.5"],
  CONNECT: ["Make a tunnel to another machine. Only proxies do this.", "RFC 9110 section 9.3.6"],
  OPTIONS: ["What may be asked here?", "RFC 9110 section 9.3.7"],
  TRACE: ["Send back what you have read.", "RFC 9110 section 9.3.8"],
  PATCH: ["Change a part of what is under this address.", "RFC 5789 section 2"],
};

/** @type {Record<string, About>} */
const STATUSES = {
  100: ["Go on, and send the body.", "RFC 9110 section 15.2.1"],
  200: ["All went well.", "RFC 9110 section 15.3.1"],
  201: ["All went well, and something new was made.", "RFC 9110 section 15.3.2"],
  204: ["All went well, and there is nothing to show.", "RFC 9110 section 15.3.5"],
  206: ["Here is the part that you asked for.", "RFC 9110 section 15.3.7"],
  301: ["The page has moved for good. The new address is in Location.", "RFC 9110 section 15.4.2"],
  302: ["The page is elsewhere for now. The address is in Location.", "RFC 9110 section 15.4.3"],
  303: ["Look at the page in Location, with GET.", "RFC 9110 section 15.4.4"],
  304: ["Your copy of the page is still good.", "RFC 9110 section 15.4.5"],
  307: ["The page is elsewhere for now: ask there, in the same way.", "RFC 9110 section 15.4.8"],
  308: ["The page has moved for good: ask there, in the same way.", "RFC 9110 section 15.4.9"],
  400: ["The server does not understand the request.", "RFC 9110 section 15.5.1"],
  401: ["Say first who you are.", "RFC 9110 section 15.5.2"],
  403: ["The server understands, and refuses.", "RFC 9110 section 15.5.4"],
  404: ["There is no such page.", "RFC 9110 section 15.5.5"],
  405: ["This method may not be asked here. Allow has those that may.", "RFC 9110 section 15.5.6"],
  408: ["The rest of the request did not come in time.", "RFC 9110 section 15.5.9"],
  413: ["The body is too long.", "RFC 9110 section 15.5.14"],
  414: ["The target is too long.", "RFC 9110 section 15.5.15"],
  417: ["The server cannot do what the client expects.", "RFC 9110 section 15.5.18"],
  421: ["This server does not answer for that address.", "RFC 9110 section 15.5.20"],
  429: ["Too many requests: wait a while.", "RFC 6585 section 4"],
  431: ["The fields are too long, or too many.", "RFC 6585 section 5"],
  500: ["The server made a mistake.", "RFC 9110 section 15.6.1"],
  501: ["The server does not know how to do this.", "RFC 9110 section 15.6.2"],
  503: ["The server is too busy now.", "RFC 9110 section 15.6.4"],
  505: ["The server does not speak this version of HTTP.", "RFC 9110 section 15.6.6"],
};

/** What the hundreds of a status code mean (RFC 9110 section 15). @type {Record<string, string>} */
const STATUS_CLASSES = {
  1: "Not the answer yet.",
  2: "All went well.",
  3: "Look elsewhere.",
  4: "The client made a mistake.",
  5: "The server made a mistake.",
};

/** @type {About} */
const VERSION = [
  "The language of the message. HTTP/1.1 is from 1997, and still the simplest one in use.",
  "RFC 9112 section 2.3",
];
/** @type {About} */
const TARGET = [
  "What is asked for: the part of the address behind the machine, with a ? before any parameters.",
  "RFC 9112 section 3.2",
];
/** @type {About} */
const EMPTY_LINE = ["An empty line: the head ends here, and the body begins, if there is one.", "RFC 9112 section 2.1"];

/** What is known of a field. @param {string} name @returns {About} */
function aboutField(name) {
  const lower = name.toLowerCase();
  const family = Object.keys(FAMILIES).find(beginning => lower.startsWith(beginning));
  return (
    own(FIELDS, lower) ??
    own(FAMILIES, family ?? "") ?? [
      "A field that this page does not know. A server ignores the fields that it does not know.",
      "RFC 9110 section 5.1",
    ]
  );
}

/** What is known of a status code. @type {(status: string) => About} */
const aboutStatus = status =>
  own(STATUSES, status) ?? [STATUS_CLASSES[status[0]] ?? "No status code of HTTP.", "RFC 9110 section 15"];

/** What is known of a method. @type {(method: string) => About} */
const aboutMethod = method =>
  own(METHODS, method) ?? ["A method that this page does not know.", "RFC 9110 section 9.1"];

/**
 * An entry of a table. Names come from clients, and `constructor` is no entry.
 * @template T @param {Record<string, T>} table @param {string} name
 */
const own = (table, name) => (Object.hasOwn(table, name) ? table[name] : undefined);

/**
 * Why a connection was closed: who did it, the state in words, the words of the telephone.
 * @type {Record<string, [string, string, string]>}
 */
const CLOSED = {
  "last-response": [
    "server",
    "closed by the server, after the last answer",
    "the server hangs up: that was the last answer",
  ],
  "peer-finished": ["client", "closed by the client", "the client hangs up, and so does the server"],
  "idle-timeout": [
    "server",
    "closed by the server: the client said nothing for too long",
    "the server hangs up: the client has said nothing for too long",
  ],
  "write-timeout": [
    "server",
    "closed by the server: the client did not read its answers",
    "the server hangs up: the client does not read its answers",
  ],
  "evicted": [
    "server",
    "evicted: closed by the server, which needed the place for another client",
    "the server hangs up: another client needs the place",
  ],
  "stopping": ["server", "closed by the server, because it stops", "the server hangs up, because it stops"],
  "disconnected": ["client", "lost: the client is gone without a word", "the client is gone without a word"],
};

/** The steps before the first call. @type {Record<string, (event: ServerEvent) => (string | undefined)[]>} */
const SERVER_STEPS = {
  "socket-created": event => ["create", `a socket for ${event.address}`, "gets a telephone"],
  "bound": event => ["bind", `its address is ${event.address}`, "gives it a number"],
  "listening": event => ["listen", `the system holds up to ${number(event.backlog)} clients in line`, "switches it on"],
  "accept-failed": event => ["accept failed", event.cause, "cannot pick up"],
};

/** What a program asks of the sandbox. @type {Record<string, (detail: string) => string>} */
const ASKED = {
  listen: detail => `listen on ${detail}`,
  connect: detail => `connect to ${detail}`,
  http: detail => `send a request to ${detail}`,
  file: detail => `use the file ${detail}`,
  name: detail => `look up the name ${detail}`,
  udp: () => "use UDP",
  memory: detail => `take ${detail} MiB of memory`,
  turn: detail => `compute for ${detail} seconds without a pause`,
};

/** `1 byte`, `2 bytes`. @param {number | undefined} many @param {string} what */
export const count = (many, what) => `${number(many)} ${what}${many === 1 ? "" : "s"}`;
/** @param {number | undefined} value */
export const number = value => Number(value ?? 0).toLocaleString("en");
/** The beginning of a text that may be long. @param {string} text @param {number} most */
const cut = (text, most) => (text.length > most ? `${text.slice(0, most)}...` : text);

// ---------------------------------------------------------------------------------------------------------------- bytes

/**
 * The binary string of a text with escapes, as events have it: `\r`, `\n`, `\t`, `\\`, `\"`, `\xhh`.
 * @param {string} text
 */
export function decode(text) {
  /** @type {Record<string, string>} */
  const letters = { r: "\r", n: "\n", t: "\t" };
  return text.replace(/\\(x[0-9a-fA-F]{2}|[^])/g, (_, escaped) =>
    escaped.length === 3 ? String.fromCharCode(parseInt(escaped.slice(1), 16)) : (letters[escaped] ?? escaped),
  );
}

/** The escapes of one line of text, for a person. @param {string} binary */
const escapes = binary => binary.replace(/[^\x20-\x7e]|\\/g, byte => own(SHORT, byte) ?? `\\x${hexOf(byte)}`);

/** @type {Record<string, string>} */
const SHORT = { "\r": "\\r", "\n": "\\n", "\t": "\\t", "\\": "\\\\" };
/** The two digits of a byte. @param {string} byte */
const hexOf = byte => byte.charCodeAt(0).toString(16).padStart(2, "0");

/** @param {string} binary */
export const toBytes = binary => Uint8Array.from(binary, byte => byte.charCodeAt(0));

/** The binary string of bytes, in pieces: a call takes only so many arguments. @param {Uint8Array} bytes */
export function fromBytes(bytes) {
  let binary = "";
  for (let at = 0; at < bytes.length; at += 4096) binary += String.fromCharCode(...bytes.subarray(at, at + 4096));
  return binary;
}

/** The lines of a hex dump: where, 16 bytes (8 on a narrow page), and the same as text. @param {string} binary */
export function hexDump(binary, width = 16) {
  const lines = [];
  for (let at = 0; at < binary.length; at += width) {
    const piece = binary.slice(at, at + width);
    const hex = [...piece].map(hexOf).join(" ");
    lines.push(`${at.toString(16).padStart(4, "0")}  ${hex.padEnd(width * 3)} ${piece.replace(/[^\x20-\x7e]/g, ".")}`);
  }
  return lines.join("\n");
}

// ----------------------------------------------------------------------------------------------------------------- HTTP

/** A head, with empty lines before it, up to and with the empty line behind it. */
const HEAD = /^(?:\r?\n)*[^\r\n][^]*?\n\r?\n/;
/** The characters of a method or a name (RFC 9110 section 5.6.2). */
const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";

/** How messages begin. */
const REQUEST = RegExp(`^${TOKEN} \\S+ HTTP/1\\.`);
const RESPONSE = /^HTTP\/1\.\d /;

/**
 * The modes of a reader, and its functions that take bytes in this mode.
 * @type {Record<string, "takeHead" | "takeBody" | "takeSize" | "takeChunk" | "takeTrailer" | "takeAll">}
 */
const TAKES = {
  "head": "takeHead",
  "body": "takeBody",
  "size": "takeSize",
  "chunk": "takeChunk",
  "trailer": "takeTrailer",
  // To the end of the connection; and after bytes that this page has not seen, so that nothing is known.
  "until-close": "takeAll",
  "lost": "takeAll",
};

/** The first line, and the fields with their values. @param {string} head */
export function parseHead(head) {
  const [first, ...rest] = head.replace(/^[\r\n]+/, "").split(/\r?\n/);
  const fields = rest.filter(Boolean).map(line => {
    const [name] = line.split(":", 1);
    return [name, line.slice(name.length + 1).replace(/^[ \t]+|[ \t]+$/g, "")];
  });
  /** @param {string} name */
  const field = name => fields.find(field => field[0].toLowerCase() === name)?.[1];
  return { first, fields, field };
}

/**
 * Follows one direction of a connection, and says which bytes belong to which message, and whether to its head or its body.
 * It only shows what the server understood, and forgives where the server would not.
 */
export class Reader {
  /** How many messages have begun, and how many are whole. */
  message = 0;
  complete = 0;
  mode = "start";
  head = "";
  line = "";
  /** How many bytes are missing from a body or a chunk, and how many the message has. */
  left = 0;
  length = 0;

  /**
   * `isServer`: these are responses. `methods` are the methods of requests without a response: a reader of requests adds.
   * @param {boolean} isServer @param {string[]} methods
   */
  constructor(isServer, methods = []) {
    this.isServer = isServer;
    this.methods = methods;
  }

  /** Whether a message has begun that is not whole. */
  get isInside() {
    return this.mode !== "start" && this.mode !== "lost";
  }

  /**
   * The pieces of these bytes: `{message, part, bytes, start}`. `unseen` bytes came behind them that the server did not show.
   * @param {string} bytes
   */
  feed(bytes, unseen = 0) {
    /** @type {Piece[]} */
    const pieces = [];
    const begins = this.isServer ? RESPONSE : REQUEST;
    // A new message where this reader expects none: it missed something, or the answer to HEAD has a length and no body.
    if ((this.isServer || this.mode === "lost") && this.mode !== "head" && begins.test(bytes)) this.mode = "start";
    while (bytes) {
      if (this.mode === "start") this.begin();
      const part = this.mode === "head" ? "head" : "body";
      const { message, length: start } = this;
      const isMidLine = part === "head" && start > 0 && !this.head.endsWith("\n");
      const taken = bytes.slice(0, this[TAKES[this.mode]](bytes));
      this.length += taken.length;
      const last = pieces.at(-1);
      // The chunks of a body are one piece.
      if (last?.message === message && last.part === part) last.bytes += taken;
      else pieces.push({ message, part, bytes: taken, start, isMidLine });
      bytes = bytes.slice(taken.length);
    }
    if (unseen) this.skip(unseen);
    return pieces;
  }

  begin() {
    this.message++;
    Object.assign(this, { mode: "head", head: "", length: 0 });
  }

  end() {
    this.complete++;
    this.mode = "start";
  }

  /** Each of the following takes bytes, and returns how many; it may change the mode. @param {string} bytes */
  takeHead(bytes) {
    const before = this.head.length;
    this.head += bytes;
    const end = HEAD.exec(this.head);
    if (!end) return bytes.length;
    this.head = end[0];
    this.beginBody(parseHead(end[0]));
    return end[0].length - before;
  }

  /** Where does the body end? (RFC 9112 section 6.3) @param {ReturnType<typeof parseHead>} head */
  beginBody({ first, field }) {
    const length = parseInt(field("content-length") ?? "0", 10) || 0;
    const isChunked = /chunked/i.test(field("transfer-encoding") ?? "");
    const status = this.isServer ? Number(/ (\d{3})/.exec(first)?.[1]) : 0;
    if (!this.isServer) this.methods.push(first.split(" ")[0]);
    const method = this.isServer && !(status >= 100 && status < 200) ? this.methods.shift() : "";
    const hasNone = (status >= 100 && status < 200) || status === 204 || status === 304 || method === "HEAD";
    this.left = length;
    if (hasNone) this.end();
    else if (isChunked) this.mode = "size";
    else if (length > 0) this.mode = "body";
    else if (this.isServer && field("content-length") === undefined) this.mode = "until-close";
    else this.end();
  }

  /** @param {string} bytes */
  takeBody(bytes) {
    const taken = Math.min(bytes.length, this.left);
    this.left -= taken;
    if (this.left === 0) this.end();
    return taken;
  }

  /** The size line of a chunk (RFC 9112 section 7.1). It may come in pieces. @param {string} bytes */
  takeSize(bytes) {
    const end = bytes.indexOf("\n") + 1;
    this.line += bytes.slice(0, end || bytes.length);
    if (!end) return bytes.length;
    const size = parseInt(this.line, 16) || 0;
    this.line = "";
    this.left = size + 2;
    this.mode = size > 0 ? "chunk" : "trailer";
    return end;
  }

  /** @param {string} bytes */
  takeChunk(bytes) {
    const taken = Math.min(bytes.length, this.left);
    this.left -= taken;
    if (this.left === 0) this.mode = "size";
    return taken;
  }

  /** The lines behind the last chunk, up to an empty one. @param {string} bytes */
  takeTrailer(bytes) {
    const end = bytes.indexOf("\n") + 1;
    this.line += bytes.slice(0, end || bytes.length);
    if (!end) return bytes.length;
    if (/^\r?\n$/.test(this.line)) this.end();
    this.line = "";
    return end;
  }

  /** @param {string} bytes */
  takeAll(bytes) {
    return bytes.length;
  }

  /** Counts bytes that were not shown. @param {number} bytes */
  skip(bytes) {
    this.length += bytes;
    if (this.mode === "body" && this.left >= bytes) {
      this.left -= bytes;
      if (this.left === 0) this.end();
    } else if (this.mode !== "until-close") {
      this.mode = "lost";
    }
  }
}

/** Where the first line begins. */
const FIRST = "(?<=^[\\r\\n]*)";
/** What a sentence of a fault is about: the first match is marked. @type {[RegExp, RegExp][]} */
const FAULTS = [
  [/TLS handshake/, /^[^]{1,3}/],
  [/only empty lines/, /^[\r\n]+/],
  [/begins with a method/, RegExp(`${FIRST}(?:[^\\r\\n ]+[^]?| )`)],
  [/method is longer|CONNECT asks/, RegExp(`${FIRST}[^\\r\\n ]+`)],
  [/ends without a version/, /(?<=^[\r\n]*[^\r\n]+)\r?\n/],
  [/nothing about what|exactly one space between/, RegExp(`${FIRST}[^\\r\\n]+`)],
  [/ends with the version|in another version/, /(?<=^[\r\n]*[^\r\n]*)[^\r\n ]+(?=\r?\n)/],
  [/visible ASCII/, /(?<=^[\r\n]*[^\r\n]*)[^\x20-\x7e\r\n]/],
  [/stays with the browser/, /#[^ \r\n]*/],
  [/target is a path|target \(the path|answers for addresses/, /(?<=^[\r\n]*[^\r\n ]+ )[^\r\n ]+/],
  [/begins with a space or a tab/, /(?<=\n)[ \t]+/],
  [/name and its colon/, /(?<=\n[^\s:]+)[ \t]+(?=:)/],
  [/each line is a field/, RegExp(`(?<=[^\\r\\n]\\r?\\n)(?!${TOKEN}:|\\r?\\n)[^\\r\\n]+`)],
  [/control byte/, /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]/],
  [/return stands alone/, /\r(?!\n)/],
  // The field is missing, and here it is too late for it.
  [/wants a Host/, /(?<=[^\r\n]\r?\n)\r?\n/],
  [/more than one Host/, /(?<=\nhost:[^]*\n)host:[^\r\n]*/i],
  [/^Host is a name/, /(?<=\n)host:[^\r\n]*/i],
  [/more than one Content-Length/, /(?<=\ncontent-length:[^]*\n)content-length:[^\r\n]*/i],
  [
    /together say twice/,
    /(?<=\n(?:content-length|transfer-encoding):[^]*\n)(?:content-length|transfer-encoding):[^\r\n]*/i,
  ],
  [/Content-Length is one number/, /(?<=\n)content-length:[^\r\n]*/i],
  [/has no Transfer-Encoding|last transfer coding|one transfer coding/, /(?<=\n)transfer-encoding:[^\r\n]*/i],
  [/client may expect/, /(?<=\n)expect:[^\r\n]*/i],
];

/** The sentence of a fault may have code in it, in backticks or as HTML. @param {string} sentence */
const plain = sentence => sentence.replace(/<[^>]*>|`/g, "");

/**
 * Where in the message the mistake is, as far as it can be known; otherwise the last byte that was read.
 * @param {string} sentence @param {string} message @returns {Place}
 */
export function faultPlace(sentence, message) {
  const match = FAULTS.find(([about]) => about.test(plain(sentence)))?.[1].exec(message);
  if (match?.[0]) return { from: match.index, to: match.index + match[0].length, isKnown: true };
  return { from: Math.max(0, message.length - 1), to: message.length, isKnown: false };
}

/** A word of a shell (POSIX), whatever is in it. @param {string} text */
const quote = text => (/^[\w./:=@%+,-]+$/.test(text) ? text : `'${text.replace(/'/g, "'\\''")}'`);

/** `printf` with these bytes, for a shell (POSIX). @param {string} binary */
function printfCommand(binary) {
  /** @type {Record<string, string>} */
  const short = { ...SHORT, "%": "%%", "'": "'\\''" };
  const octal = (/** @type {string} */ byte) => byte.charCodeAt(0).toString(8).padStart(3, "0");
  return `printf '${binary.replace(/[^\x20-\x7e]|[\\%']/g, byte => own(short, byte) ?? `\\${octal(byte)}`)}'`;
}

/**
 * The command that sends this request again: `curl`, or, if curl would not send it as it is, `nc`.
 * @param {string} message @param {string} address
 */
export function asCommand(message, address) {
  const [host, port] = [address.replace(/:\d+$/, "").replace(/[[\]]/g, ""), address.split(":").at(-1)];
  return curlCommand(message, address) ?? `${printfCommand(message)} | nc ${host} ${port}`;
}

/**
 * The command of curl for this request, or `undefined` if the request is not one that curl sends.
 * @param {string} message @param {string} address
 */
function curlCommand(message, address) {
  const begins = RegExp(`^${TOKEN} [\\x21-\\x7e]+ HTTP/1\\.[01]\\r\\n(?:${TOKEN}: ?[\\x20-\\x7e]*\\r\\n)*\\r\\n`);
  const head = begins.exec(message)?.[0];
  if (!head) return undefined;
  const { first, fields, field } = parseHead(head);
  const [method, target, version] = first.split(" ");
  const body = message.slice(head.length);
  const isExact = Number(field("content-length") ?? 0) === body.length && field("transfer-encoding") === undefined;
  if (!isExact || method === "CONNECT" || (version === "HTTP/1.1" && field("host") === undefined)) return undefined;
  const words = ["curl", "-i", "--path-as-is", "--globoff"];
  if (version === "HTTP/1.0") words.push("--http1.0");
  if (method === "HEAD") words.push("--head");
  else if (method !== "GET" || body) words.push("-X", quote(method));
  if (!target.startsWith("/")) words.push("--request-target", quote(target));
  words.push(quote(`http://${address}${target.startsWith("/") ? target : "/"}`));
  // Fields that curl adds by itself: an empty value takes them away.
  const added = body ? ["Host", "User-Agent", "Accept", "Content-Type"] : ["Host", "User-Agent", "Accept"];
  for (const name of added) if (field(name.toLowerCase()) === undefined) words.push("-H", `'${name}:'`);
  for (const [name, value] of fields) {
    const isImplied = (body && /^content-length$/i.test(name)) || (/^host$/i.test(name) && value === address);
    if (!isImplied) words.push("-H", quote(value ? `${name}: ${value}` : `${name};`));
  }
  if (!body) return words.join(" ");
  // curl reads a file if data begins with @.
  const isText = /^[\x20-\x7e]+$/.test(body) && !body.startsWith("@");
  return isText
    ? `${words.join(" ")} --data-raw ${quote(body)}`
    : `${printfCommand(body)} | ${words.join(" ")} --data-binary @-`;
}

// ---------------------------------------------------------------------------------------------------------------- model

/** What is known of one connection. `names` has the words for clients, by their addresses. */
export class Connection {
  /** @type {ServerEvent[]} */
  events = [];
  requests = new Reader(false);
  responses = new Reader(true, this.requests.methods);
  /** A time of the server, and unknown if this page came later. @type {number | undefined} */
  accepted;
  answers = 0;
  faults = 0;
  /** The last answer, and why it was closed. */
  outcome = "";
  closed = "";
  /** Events may be missing. */
  hasGaps = false;
  /** Whether the person has opened or closed it. If neither, the page decides. @type {boolean | undefined} */
  choice;

  /** @param {number} id @param {string} peer @param {Map<string, string>} names */
  constructor(id, peer, names) {
    this.id = id;
    this.peer = peer;
    this.names = names;
  }

  /** A request by hand of the live page comes from the port 0. */
  get isThisPage() {
    return this.peer === "127.0.0.1:0";
  }

  get client() {
    return this.isThisPage ? "this page" : (this.names.get(this.peer) ?? this.peer);
  }

  /** What the connections of one client have in common: its name, or its address without the port. */
  get machine() {
    return this.isThisPage ? "" : this.client.replace(/:\d+$/, "");
  }

  get hasSpoken() {
    return this.requests.message > 0;
  }

  /** All bytes of a message of the client, and whether they are all known. @param {number} message */
  request(message) {
    const isOf = (/** @type {Piece} */ piece) => piece.message === message;
    const events = this.events.filter(({ event, pieces }) => event === "received" && pieces?.some(isOf));
    const pieces = events.flatMap(event => event.pieces?.filter(isOf) ?? []);
    return {
      bytes: pieces.map(piece => piece.bytes).join(""),
      isWhole: pieces[0]?.start === 0 && !events.some(event => event.cut),
    };
  }
}

/** What a screen reader is told about the next second. */
const noNews = () => ({ opened: 0, answers: 0, answer: "", faults: 0, refused: 0, sentences: [""].slice(1) });

/**
 * The events of connections that change what is known. Each is a method of the model.
 * @type {("accepted" | "received" | "sent" | "responded" | "closed")[]}
 */
const KINDS = ["accepted", "received", "sent", "responded", "closed"];

/** All that is known: the connections, and the last events. */
export class Model {
  /** The name of this run of the server, and whether it is another one than before. */
  run = "";
  isOtherRun = false;
  address = "";
  /** How many seconds the clock of the server is ahead of that of the page. */
  ahead = -Infinity;
  /** @type {ServerEvent[]} */
  steps = [];
  /** @type {ServerEvent[]} */
  asked = [];
  /** @type {{rate: number, skipped: number, time: number} | undefined} */
  load;
  /** @type {Map<number, Connection>} */
  connections = new Map();
  /** All events of connections, in their order. @type {[Connection, ServerEvent][]} */
  events = [];
  /** The words for clients, by their addresses. @type {Map<string, string>} */
  names = new Map();
  /** The clients that have spoken, and whether they are browsers. @type {Map<string, boolean>} */
  spoken = new Map();
  news = noNews();

  /** Forgets everything: another run of the server begins. @param {string} run */
  reset(run) {
    Object.assign(this, new Model(), { run });
  }

  /** Forgets the connections that are closed, and the events of all. */
  forget() {
    const open = [...this.connections].filter(([, connection]) => !connection.closed);
    for (const [, connection] of open) connection.events = [];
    this.connections = new Map(open);
    this.events = [];
    this.spoken = new Map();
    this.news = noNews();
  }

  /** The time of the server, in seconds. `local` is the clock of this page in milliseconds. @param {number} local */
  now(local) {
    return local / 1000 + this.ahead;
  }

  /** Takes an event. `local` is when it came. @param {ServerEvent} event @param {number} local */
  add(event, local) {
    if (event.event === "hello") this.hello(event);
    if (event.time) this.ahead = Math.max(this.ahead, event.time - local / 1000);
    if (event.event === "hello") return;
    if (event.event === "skipped" || event.event === "dropped") return this.gap(event);
    if (event.event === "asked") return this.ask(event);
    if (event.connection === undefined) return this.step(event);
    const connection = this.connection(event.connection, event);
    const kind = KINDS.find(kind => kind === event.event);
    if (kind) this[kind](connection, event);
    connection.events.push(event);
    this.events.push([connection, event]);
    this.trim();
  }

  /** @param {ServerEvent} event */
  hello(event) {
    const { run = "" } = event;
    if (run === this.run) return;
    const isOther = this.run !== "";
    this.reset(run);
    this.address = event.address ?? "";
    if (isOther) this.news.sentences.push("Another run of the server has begun. The page is empty again.");
    this.isOtherRun = isOther;
  }

  /**
   * Events are missing: under load the server sends samples, and a slow reader loses some.
   * @param {ServerEvent} event
   */
  gap(event) {
    for (const connection of this.connections.values()) if (!connection.closed) connection.hasGaps = true;
    if (event.event === "dropped") return this.step(event);
    this.load = {
      rate: event.seconds ? (event.requests ?? 0) / event.seconds : 0,
      skipped: event.count ?? 0,
      time: event.time ?? 0,
    };
  }

  /** @param {ServerEvent} event */
  ask(event) {
    // Before the start the sandbox finds out what the options need.
    if (event.check && event.allowed) return;
    this.asked.push(event);
    if (this.asked.length > LISTED) this.asked.shift();
    if (event.allowed === false) this.news.refused++;
  }

  /** @param {ServerEvent} event */
  step(event) {
    if (event.event === "listening" && !this.address) this.address = event.address ?? "";
    this.steps.push(event);
    if (this.steps.length > LISTED) this.steps.shift();
  }

  /**
   * The connection of an event. If its accept is not known, events before may be missing.
   * @param {number} id @param {ServerEvent} event
   */
  connection(id, event) {
    let connection = this.connections.get(id);
    if (!connection) {
      connection = new Connection(id, event.peer ?? "", this.names);
      connection.hasGaps = event.event !== "accepted";
      this.connections.set(id, connection);
    }
    return connection;
  }

  /** @param {Connection} connection @param {ServerEvent} event */
  accepted(connection, event) {
    connection.accepted = event.time;
    this.news.opened++;
  }

  /** @param {Connection} connection @param {ServerEvent} event */
  received(connection, event) {
    const bytes = decode(event.text ?? "");
    event.pieces = connection.requests.feed(bytes, event.cut);
    if (connection.responses.mode === "lost") connection.responses.mode = "start";
    if (connection.machine) {
      const isBrowser = /^User-Agent:.*Mozilla\//im.test(bytes) || this.spoken.get(connection.machine) === true;
      this.spoken.set(connection.machine, isBrowser);
    }
  }

  /** @param {Connection} connection @param {ServerEvent} event */
  sent(connection, event) {
    event.pieces = connection.responses.feed(decode(event.text ?? ""), event.cut);
  }

  /** @param {Connection} connection @param {ServerEvent} event */
  responded(connection, event) {
    connection.answers++;
    connection.outcome = `${event.status} ${event.reason ?? ""}`.trim();
    if (connection.requests.mode === "lost") connection.requests.mode = "start";
    this.news.answers++;
    this.news.answer = `Connection ${connection.id}: ${cut(event.line ?? "", 60)}, ${connection.outcome}.`;
    if (!event.fault) return;
    connection.faults++;
    this.news.faults++;
    this.markFault(connection, event);
  }

  /**
   * Marks the place of a mistake in the pieces of the message.
   * @param {Connection} connection @param {ServerEvent} event
   */
  markFault(connection, event) {
    const said = connection.events.filter(other => other.event === "received");
    const message = connection.requests.message;
    const pieces = said.flatMap(other => other.pieces?.filter(piece => piece.message === message) ?? []);
    const bytes = pieces.map(piece => piece.bytes).join("");
    if (!bytes) return;
    const place = faultPlace(event.fault ?? "", bytes);
    event.place = { ...place, bytes };
    let at = 0;
    for (const piece of pieces) {
      const [from, to] = [Math.max(place.from - at, 0), Math.min(place.to - at, piece.bytes.length)];
      if (from < to) piece.mark = { from, to };
      at += piece.bytes.length;
    }
  }

  /** @param {Connection} connection @param {ServerEvent} event */
  closed(connection, event) {
    connection.closed = event.reason ?? "unknown";
  }

  /** Keeps the last events. A connection that is closed and has none left is forgotten. */
  trim() {
    for (const [connection] of this.events.splice(0, Math.max(0, this.events.length - KEPT))) {
      const first = connection.events.shift();
      if (first) first.isForgotten = true;
      if (connection.closed && connection.events.length === 0) this.remove(connection);
    }
    // Under load the end of a connection may never be told.
    const [oldest] = this.connections.values();
    if (this.connections.size > 2 * KEPT) this.remove(oldest);
  }

  /** @param {Connection} connection */
  remove({ id, peer }) {
    this.connections.delete(id);
    this.names.delete(peer);
  }

  /** Whether the server has sent samples lately. @param {number} local */
  isLoaded(local) {
    return this.load !== undefined && this.now(local) - this.load.time < 3;
  }

  /** The state of a connection: a class for its color, and words. @param {Connection} connection */
  state(connection, local = performance.now()) {
    const { requests, closed, answers } = connection;
    if (closed) return [closed === "evicted" ? "evicted" : "gone", closedWords(connection)];
    if (connection.hasGaps) return ["", "open; perhaps not all of its events are shown here"];
    if (requests.isInside && requests.message > answers) return ["speaks", half(requests)];
    if (requests.complete > answers) {
      return connection.responses.isInside
        ? ["speaks", "is being answered, piece by piece"]
        : ["speaks", "has said its request; the server makes the answer"];
    }
    if (answers > 0) return ["idle", "answered and idle: it may ask again"];
    return ["", this.silence(connection, local)];
  }

  /** The state of a connection without words. @param {Connection} connection @param {number} local */
  silence(connection, local) {
    const isSilent = connection.accepted !== undefined && (this.now(local) - connection.accepted) * 1000 > SILENT;
    const others = isSilent && connection.machine ? this.spoken.get(connection.machine) : undefined;
    if (others === undefined) return "waiting for the client to speak";
    if (others) return "a spare connection of the browser, which has said nothing yet";
    return "has said nothing yet, while another connection of the same client has spoken";
  }
}

/** @param {Connection} connection */
function closedWords(connection) {
  const words = own(CLOSED, connection.closed)?.[1] ?? `closed: ${connection.closed}`;
  const isSpare = !connection.hasSpoken && !connection.hasGaps && connection.closed === "peer-finished";
  return isSpare ? `${words}, which said nothing` : words;
}

/** How much of a request is there. @param {Reader} reader */
function half({ mode, length, left }) {
  const missing = mode === "body" ? `${count(left, "byte")} of the body are to come` : "the end of its body is to come";
  return `has said half a request: ${count(length, "byte")}; ${mode === "head" ? "the empty line that ends the head is to come" : missing}`;
}

// ----------------------------------------------------------------------------------------------- drawing: small things

/**
 * Makes an element. Strings among the children become text, never HTML.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag @param {Record<string, unknown>} properties @param {(Node | string | undefined)[]} children
 */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  Object.assign(element, properties);
  for (const child of children) if (child) element.append(child);
  return element;
}

/** An element of the page, which is there, and of the kind that the script needs. @param {string} id @returns {any} */
export const byId = id => document.getElementById(id);
/** @param {string} text */
const unseen = text => make("span", { className: "unseen" }, text);

/**
 * Sets a text only if it differs: a change makes the browser draw, and may make a screen reader speak.
 * @param {Node} element @param {string} text
 */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** A link to a section such as "RFC 9112 section 3.2". Others stay text. @param {string} section */
function sectionLink(section) {
  const match = /^RFC (\d+) section ([\d.]+)$/.exec(section);
  if (!match) return section;
  const href = `https://www.rfc-editor.org/rfc/rfc${match[1]}#section-${match[2]}`;
  return make("a", { href, target: "_blank", rel: "noopener noreferrer" }, section);
}

/** A sentence of the server with code in it, as elements. @param {string} sentence */
function sentenceNodes(sentence) {
  /** @type {Record<string, string>} */
  const entities = { "&eacute;": "\u00e9", "&lt;": "<", "&gt;": ">", "&quot;": '"', "&amp;": "&" };
  const text = sentence.replace(/&\w+;/g, entity => entities[entity] ?? entity);
  return text
    .replace(/<\/?code>/g, "`")
    .split(/`(.*?)`/)
    .map((part, index) => (index % 2 ? make("code", {}, part) : part));
}

// --------------------------------------------------------------------------------------------- drawing: bytes of a message

/** The nodes of a binary string: what is invisible is written as an escape. @param {string} binary */
function visible(binary) {
  const runs = binary.match(/[\x20-\x5b\x5d-\x7e]+|[^\x20-\x5b\x5d-\x7e]+/g) ?? [];
  return runs.map(run =>
    /^[\x20-\x5b\x5d-\x7e]/.test(run) ? run : make("span", { className: "invisible" }, escapes(run)),
  );
}

/** A binary string in parts that a line end, or a border, ends. @param {string} text @param {number[]} borders */
function* parts(text, borders) {
  for (let from = 0; from < text.length;) {
    const to = Math.min(
      text.length,
      text.indexOf("\n", from) + 1 || text.length,
      ...borders.filter(border => border > from),
    );
    yield [from, to];
    from = to;
  }
}

/**
 * The tokens of a head: `{text, about}`; `about` explains.
 * @param {Piece} piece @param {boolean} isServer @returns {Iterable<Token>}
 */
function* headTokens(piece, isServer) {
  let isFirst = piece.start === 0;
  let isMidLine = piece.isMidLine;
  for (const line of piece.bytes.match(/[^\n]*\n|[^\n]+$/g) ?? []) {
    const isEmpty = /^\r?\n$/.test(line);
    if (isMidLine) yield { text: line };
    else if (isEmpty) yield { text: line, about: isFirst ? undefined : EMPTY_LINE };
    else if (isFirst) yield* isServer ? statusLine(line) : requestLine(line);
    else yield* fieldLine(line);
    isFirst &&= isEmpty;
    isMidLine = false;
  }
}

/** @param {string} line @returns {Iterable<Token>} */
function* requestLine(line) {
  const parts = /^(\S+)( )(\S+)( )(HTTP\/\d\.\d)([\r\n]*)$/.exec(line);
  if (!parts) return yield { text: line };
  const about = [undefined, aboutMethod(parts[1]), undefined, TARGET, undefined, VERSION];
  for (let at = 1; at < parts.length; at++) yield { text: parts[at], about: about[at] };
}

/** @param {string} line @returns {Iterable<Token>} */
function* statusLine(line) {
  const parts = /^(HTTP\/\d\.\d)( )(\d{3}[^\r\n]*)([^]*)$/.exec(line);
  if (!parts) return yield { text: line };
  yield { text: parts[1], about: VERSION };
  yield { text: parts[2] };
  yield { text: parts[3], about: aboutStatus(parts[3].slice(0, 3)) };
  yield { text: parts[4] };
}

/** @param {string} line @returns {Iterable<Token>} */
function* fieldLine(line) {
  const name = RegExp(`^${TOKEN}(?=:)`).exec(line)?.[0];
  if (!name) return yield { text: line };
  yield { text: name, about: aboutField(name) };
  yield { text: line.slice(name.length) };
}

/**
 * Draws tokens. Those that have an explanation are buttons, so that the keyboard reaches them; `mark` is the place of a mistake.
 * @param {Iterable<Token>} tokens @param {string} [describedBy]
 */
function drawTokens(tokens, mark = { from: 0, to: 0 }, describedBy) {
  const nodes = [];
  let at = 0;
  for (const { text, about } of tokens) {
    for (const [from, to] of parts(text, [mark.from - at, mark.to - at])) {
      const isMarked = at + from >= mark.from && at + to <= mark.to;
      const drawn = visible(text.slice(from, to));
      const node = isMarked ? [make("mark", {}, unseen("marked: "), ...drawn)] : drawn;
      nodes.push(...(about ? [term(node, about, describedBy)] : node));
      // The line end is a line end on the page, too.
      if (text[to - 1] === "\n") nodes.push("\n");
    }
    at += text.length;
  }
  return nodes;
}

/** @param {(Node | string)[]} children @param {About} about @param {string} [describedBy] */
function term(children, about, describedBy = "") {
  const button = make("button", { type: "button", className: "term" }, ...children);
  abouts.set(button, about);
  button.setAttribute("aria-describedby", describedBy);
  return button;
}

/** What the words of a head explain. @type {WeakMap<Element, About>} */
const abouts = new WeakMap();

let lastUnique = 0;

/**
 * The bytes of one event: head and body of each message, explanations, hex, and what `tools(message)` draws for a request.
 * @param {Message} message
 */
export function drawMessage({ pieces, isServer, unseen: hidden, tools }) {
  const explanation = make("p", { className: "explanation", id: `explanation-${++lastUnique}` });
  explanation.textContent = "Point at a dotted word, or go to it with the Tab key: it is explained here.";
  const box = make("div", { className: "message" });
  const bytes = make("div");
  const hex = make("input", { type: "checkbox" });
  const holders = pieces.map((piece, index) => {
    const holder = make("div");
    const isFirst = piece.message !== pieces[index - 1]?.message;
    bytes.append(drawTitle(piece, isServer), holder);
    if (isFirst && !isServer && tools) bytes.append(tools(piece.message));
    return holder;
  });
  const draw = () =>
    holders.forEach((holder, index) =>
      holder.replaceChildren(hex.checked ? drawHex(pieces[index]) : drawPiece(pieces[index], isServer, explanation.id)),
    );
  hex.addEventListener("change", draw);
  draw();
  const explain = (/** @type {Event} */ { target }) => {
    const word = target instanceof Element ? target.closest(".term") : null;
    const about = word && abouts.get(word);
    if (about) explanation.replaceChildren(`${about[0]} `, make("small", { className: "dim" }, about[1]));
  };
  for (const kind of ["mouseover", "focusin", "click"]) bytes.addEventListener(kind, explain);
  box.append(make("label", {}, hex, " as numbers (hex)"), bytes);
  if (hidden)
    box.append(make("p", { className: "dim" }, `... and ${count(hidden, "more byte")}, which this page does not have`));
  box.append(explanation);
  return box;
}

/** @param {Piece} piece @param {boolean} isServer */
function drawTitle({ part, start, bytes }, isServer) {
  const title = `${part === "head" ? "Head" : "Body"} of the ${isServer ? "response" : "request"}`;
  return make("h4", {}, `${title}${start > 0 && part === "head" ? ", continued" : ""}: ${count(bytes.length, "byte")}`);
}

/** @param {Piece} piece @param {boolean} isServer @param {string} describedBy */
function drawPiece(piece, isServer, describedBy) {
  const tokens = piece.part === "head" ? headTokens(piece, isServer) : [{ text: piece.bytes }];
  return make("pre", { className: `bytes ${piece.part}` }, ...drawTokens(tokens, piece.mark, describedBy));
}

/** @param {Piece} piece */
function drawHex(piece) {
  const width = matchMedia("(min-width: 40rem)").matches ? 16 : 8;
  // The keyboard scrolls what it can reach.
  const pre = make("pre", { className: "bytes hex", tabIndex: 0 }, hexDump(piece.bytes, width));
  pre.setAttribute("role", "group");
  pre.setAttribute("aria-label", "the bytes as hexadecimal numbers");
  return pre;
}

/**
 * Copy, send again, change: for a request of a connection.
 * @param {Wire} wire @param {Connection} connection @param {number} message
 */
function drawTools(wire, connection, message) {
  const { address, send, intoForm } = wire.page;
  const out = make("div");
  const { bytes, isWhole } = connection.request(message);
  if (!address && !send && !intoForm) return out;
  const lost = "This page does not have all bytes of this request, so it cannot be sent again.";
  if (!isWhole) return make("p", { className: "dim" }, lost);
  // More of the request may come until the click.
  const all = () => connection.request(message).bytes;
  const bar = make("div", { className: "toolbar" });
  const add = (/** @type {string} */ text, /** @type {() => void} */ act) => {
    const button = make("button", { type: "button" }, text);
    button.addEventListener("click", act);
    bar.append(button);
  };
  if (address) {
    const command = () => asCommand(all(), address());
    add(`Copy as ${programOf(command())}`, () => copyCommand(wire, command(), out));
  }
  if (send) add("Send again", () => send(all(), out));
  if (intoForm && /^[\x20-\x7e\r\n\t]*$/.test(bytes)) add("Change and send", () => intoForm(all()));
  const stars = "*** stands for a value that this page does not get; it would be sent as ***.";
  const isMasked = /: ?\*\*\*\r?$/m.test(bytes);
  return make("div", {}, bar, isMasked ? make("p", { className: "dim" }, stars) : "", out);
}

/** @param {string} command */
const programOf = command => (/^curl|\| curl/.test(command) ? "curl" : "nc");

/**
 * Copies a command, and shows it: without https:// a browser may refuse to copy.
 * @param {Wire} wire @param {string} command @param {HTMLElement} out
 */
async function copyCommand(wire, command, out) {
  let told = "Copied:";
  try {
    await navigator.clipboard.writeText(command);
  } catch {
    told = "This browser does not let a page copy here. Select the command, and copy it:";
  }
  const why = programOf(command) === "nc" ? " (curl would not send these bytes as they are)" : "";
  out.replaceChildren(make("p", {}, told + why), make("pre", { className: "command" }, command));
  wire.model.news.sentences.push(told.startsWith("Copied") ? "Copied." : told);
}

// ------------------------------------------------------------------------------------------ drawing: events, connections

/** Milliseconds since the accept of the connection. @param {ServerEvent} event @param {Connection} connection */
function sinceAccept(event, connection) {
  if (connection.accepted === undefined) return "";
  const ms = ((event.time ?? 0) - connection.accepted) * 1000;
  return `${ms.toLocaleString("en", { maximumFractionDigits: ms < 10 ? 1 : 0 })} ms`;
}

/**
 * A line of the two lanes: when, what goes from lane to lane, and the function of WASI.
 * @param {ServerEvent} event @param {Card} card
 */
function drawRow(event, card) {
  const row = make("li", { className: `row ${event.event}` });
  row.append(
    make("span", { className: "time" }, sinceAccept(event, card.connection)),
    make("div", { className: "between" }, ...(ROWS[event.event] ?? drawOther)(event, card, row)),
    make("code", { className: "wasi" }, event.wasi ?? ""),
  );
  eventOf.set(row, event);
  return row;
}

/** The events of rows. @type {WeakMap<Node, ServerEvent>} */
const eventOf = new WeakMap();

/** @param {string} text */
const caption = text => make("p", { className: "caption" }, text);
/** @param {(Node | string)[]} children */
const note = (...children) => make("p", { className: "note" }, ...children);

/** @type {Record<string, (event: ServerEvent, card: Card, row: HTMLElement) => Node[]>} */
const ROWS = {
  accepted: (event, { connection }) => [
    note(`${connection.client} is on the line`),
    make("p", { className: "caption note" }, "the server picks up"),
  ],
  received: (event, card, row) => [drawArrow(event, card, row), caption("the client speaks")],
  sent: (event, card, row) => [drawArrow(event, card, row), caption("the server speaks")],
  responded: event => [
    note(
      `to "${cut(event.line ?? "", 60)}" the answer is ${event.status} ${event.reason ?? ""}, with ${count(event.body_bytes ?? 0, "byte")} of body`,
    ),
    ...drawFault(event),
  ],
  closed: (event, { connection }) => {
    const [who, , words] = own(CLOSED, event.reason ?? "") ?? ["server", "", `the call ends: ${event.reason}`];
    return [
      make("p", { className: `note closes-${who}` }, closedWords(connection)),
      make("p", { className: `caption note closes-${who}` }, words),
    ];
  },
};
/** @param {ServerEvent} event */
const drawOther = event => [note(event.event)];

/** What a message is, in a few words. @param {ServerEvent} event */
function label(event) {
  const { pieces = [] } = event;
  const [first] = pieces;
  if (!first) return "nothing";
  const isServer = event.event === "sent";
  const messages = new Set(pieces.map(piece => piece.message)).size;
  const more = messages > 1 ? ` and ${count(messages - 1, isServer ? "more response" : "more request")}` : "";
  if (first.part === "body") return `more of the body${more}`;
  const line = escapes(first.bytes.replace(/^[\r\n]+/, "").split(/[\r\n]/, 1)[0]);
  return (first.start > 0 ? `more of the head: ${cut(line, 40)}` : cut(line, 70)) + more;
}

/**
 * An arrow between the lanes. A click shows its bytes.
 * @param {ServerEvent} event @param {Card} card @param {HTMLElement} row
 */
function drawArrow(event, { connection, wire }, row) {
  const isServer = event.event === "sent";
  const button = make(
    "button",
    { type: "button", className: "arrow" },
    unseen(isServer ? "server to client: " : "client to server: "),
    label(event),
    " ",
    make("span", { className: "size" }, count(event.bytes, "byte")),
  );
  button.setAttribute("aria-expanded", "false");
  /** @type {HTMLElement | undefined} */
  let box;
  button.addEventListener("click", () => {
    // A connection that the person looks at stays open.
    connection.choice = true;
    if (box) {
      box.remove();
      box = undefined;
    } else {
      const tools = (/** @type {number} */ message) => drawTools(wire, connection, message);
      box = drawMessage({ pieces: event.pieces ?? [], isServer, unseen: event.cut, tools });
      row.append(box);
    }
    button.setAttribute("aria-expanded", String(Boolean(box)));
  });
  return button;
}

/** The mistake, its rule, and its place. @param {ServerEvent} event */
function drawFault({ fault, section, place }) {
  if (!fault) return [];
  const box = make(
    "div",
    { className: "fault" },
    make("p", {}, make("strong", {}, "A mistake: "), ...sentenceNodes(fault), " ", section ? sectionLink(section) : ""),
  );
  if (place) {
    const [from, to] = excerpt(place);
    const mark = { from: place.from - from, to: Math.min(place.to, to) - from };
    box.append(
      make("p", { className: "dim" }, place.isKnown ? "It is here:" : "The server had read up to here:"),
      make("pre", { className: "bytes" }, ...drawTokens([{ text: place.bytes.slice(from, to) }], mark)),
    );
  }
  return [box];
}

/** The line of a mistake and the line before, but not much of them. @param {Place & { bytes: string }} place */
function excerpt({ bytes, from, to }) {
  const lineStart = from > 0 ? bytes.lastIndexOf("\n", from - 1) + 1 : 0;
  const start = Math.max(lineStart > 1 ? bytes.lastIndexOf("\n", lineStart - 2) + 1 : 0, from - 100);
  const end = bytes.indexOf("\n", to - 1) + 1 || bytes.length;
  return [start, Math.min(end, Math.min(to, from + 100) + 50)];
}

/** A connection on the page. Its lanes are only drawn while it is open. */
class Card {
  client = document.createTextNode("");
  state = make("span", { className: "state" });
  outcome = make("span", { className: "outcome" });
  rows = make("ol");

  /** @param {Connection} connection @param {Wire} wire */
  constructor(connection, wire) {
    this.connection = connection;
    this.wire = wire;
    const title = make("h3", {}, `Connection ${connection.id}`);
    this.summary = make("summary", {}, title, this.client, this.outcome, this.state);
    const names = make(
      "div",
      { className: "names" },
      make(
        "span",
        {},
        make("b", { className: "of-client" }, "client"),
        make("b", { className: "of-server" }, "server"),
      ),
    );
    names.setAttribute("aria-hidden", "true");
    this.lanes = make("div", { className: "lanes" }, names, this.rows);
    this.element = make("details", {}, this.summary, this.lanes);
    // A click comes before the change. The search of the browser may open it without a click.
    this.summary.addEventListener("click", () => (connection.choice = !this.element.open));
    this.element.addEventListener("toggle", () => this.drawRows());
  }

  /** @param {number} local @param {boolean} opens */
  draw(local, opens) {
    const { connection } = this;
    this.drawName();
    const [kind, words] = this.wire.model.state(connection, local);
    setText(this.state, words);
    const most = connection.hasGaps ? "at least " : "";
    const answers = connection.answers > 1 ? `${most}${count(connection.answers, "answer")}, the last one ` : "";
    setText(this.outcome, connection.outcome && `\u2192 ${answers}${connection.outcome}`);
    const className = `card ${connection.faults ? "faulty" : kind}`;
    if (this.element.className !== className) this.element.className = className;
    const isOpen = connection.choice ?? (opens || this.lanes.contains(document.activeElement));
    if (this.element.open !== isOpen) this.element.open = isOpen;
    this.drawRows();
  }

  /** The name of the client may come late. */
  drawName() {
    const { client, peer, isThisPage } = this.connection;
    const text = isThisPage || client === peer ? ` ${client} ` : ` ${client}, ${peer} `;
    if (this.client.data === text) return;
    this.client.data = text;
    const row = this.rows.querySelector(".accepted");
    const event = row && eventOf.get(row);
    if (event) row.replaceWith(drawRow(event, this));
  }

  drawRows() {
    if (!this.element.open) return this.rows.replaceChildren();
    const isForgotten = (/** @type {Node} */ row) => eventOf.get(row)?.isForgotten;
    while (this.rows.firstChild && isForgotten(this.rows.firstChild)) this.rows.firstChild.remove();
    const { events } = this.connection;
    if (this.rows.childElementCount > events.length) this.rows.replaceChildren();
    for (let at = this.rows.childElementCount; at < events.length; at++) this.rows.append(drawRow(events[at], this));
  }
}

/** @param {ServerEvent} event */
function drawStep(event) {
  if (event.event === "dropped")
    return make("li", {}, `${count(event.count, "event")} were lost on the way to this page.`);
  const [verb, sentence, telephone] = own(SERVER_STEPS, event.event)?.(event) ?? [event.event, "", ""];
  const item = make(
    "li",
    { className: event.event === "accept-failed" ? "refused" : "" },
    make("b", {}, verb),
    ` ${sentence} `,
  );
  if (event.wasi) item.append(make("code", { className: "dim" }, event.wasi));
  item.append(caption(telephone ?? ""));
  return item;
}

/** @param {ServerEvent} event */
function drawAsked(event) {
  const tried = own(ASKED, event.what ?? "")?.(event.detail ?? "") ?? `${event.what} ${event.detail ?? ""}`;
  if (event.allowed) return make("li", {}, `allowed: the program may ${tried}`);
  const advice = event.option
    ? [make("code", {}, event.option), " would allow it."]
    : ["There is no option that would allow it."];
  return make(
    "li",
    { className: "refused" },
    make("b", {}, "refused: "),
    `the program may not ${tried}. `,
    ...advice,
    event.count ? ` It asked ${count(event.count, "more time")}.` : "",
  );
}

// ------------------------------------------------------------------------------------------------------------- the wire

/** One sentence for the screen reader. @param {ReturnType<typeof noNews>} news */
function summary({ opened, answers, answer, faults, refused: refusals, sentences }) {
  const parts = [];
  if (opened > 0) parts.push(`${count(opened, "connection")} opened`);
  if (answers > 0) parts.push(count(answers, "answer"));
  if (faults > 0) parts.push(count(faults, "mistake"));
  if (refusals > 0) parts.push(`the sandbox refused ${count(refusals, "thing")}`);
  if (sentences.length > 0) return sentences[sentences.length - 1];
  if (answers === 1 && faults === 0 && refusals === 0) return answer;
  return parts.length > 0 ? `${parts.join(", ")}.` : "";
}

/** Takes events, and draws the connections. The head of this file says how it is used. */
export class Wire {
  model = new Model();
  /** The number of the one connection to show, or 0. */
  only = 0;
  /** @type {Map<Connection, Card>} */
  cards = new Map();
  isSoon = false;
  restsUntil = 0;
  /** @type {ServerEvent | undefined} */
  lastStep;
  /** @type {ServerEvent | undefined} */
  lastAsked;

  /** @param {PartsOfPage} page */
  constructor(page) {
    this.page = page;
  }

  /** @param {ServerEvent} event */
  take(event, local = performance.now()) {
    this.model.add(event, local);
    this.soon();
  }

  /** @param {string} peer @param {string} label */
  name(peer, label) {
    this.model.names.set(peer, label);
    this.soon();
  }

  /** @param {boolean} isShown */
  set captions(isShown) {
    const { connections, server } = this.page;
    for (const list of [connections, server]) list?.classList.toggle("no-captions", !isShown);
  }

  clear() {
    this.model.forget();
    this.draw();
  }

  news() {
    const sentence = summary(this.model.news);
    if (sentence) this.model.news = noNews();
    return sentence;
  }

  /** The connections that the page shows now, the newest first. */
  wanted() {
    const all = [...this.model.connections.values()].reverse();
    return all.filter(({ id, events }) => events.length > 0 && (!this.only || id === this.only));
  }

  /** Draws once for all events of a frame. If that takes long, the page rests four times as long: it must also take events. */
  soon() {
    if (this.isSoon) return;
    this.isSoon = true;
    setTimeout(
      () =>
        requestAnimationFrame(() => {
          this.isSoon = false;
          const began = performance.now();
          this.draw();
          const ended = performance.now();
          this.restsUntil = ended + 4 * (ended - began);
        }),
      Math.max(0, this.restsUntil - performance.now()),
    );
  }

  /** Draws now. */
  draw() {
    this.drawConnections(performance.now());
    this.drawLists();
    this.page.drawn?.();
  }

  /** @param {number} local */
  drawConnections(local) {
    const { cards, page } = this;
    const all = this.wanted();
    const drawn = all.slice(0, DRAWN);
    if (page.nothing) page.nothing.hidden = all.length > 0;
    if (page.older) page.older.hidden = all.length <= DRAWN;
    if (page.older) setText(page.older, `${count(all.length - DRAWN, "older connection")} not shown.`);
    const ids = new Set(drawn);
    for (const [connection, card] of cards) {
      if (ids.has(connection)) continue;
      card.element.remove();
      cards.delete(connection);
    }
    let next = page.connections.firstChild;
    drawn.forEach((connection, index) => {
      const card = cards.get(connection) ?? new Card(connection, this);
      cards.set(connection, card);
      if (card.element === next) next = next.nextSibling;
      else page.connections.insertBefore(card.element, next);
      card.draw(local, drawn.length === 1 || (index < OPEN_BY_ITSELF && !this.model.isLoaded(local)));
    });
  }

  /** Draws the steps of the server, and what the program asked of the sandbox. Both lists are short. */
  drawLists() {
    const { steps, asked } = this.model;
    if (this.lastStep === steps.at(-1) && this.lastAsked === asked.at(-1)) return;
    [this.lastStep, this.lastAsked] = [steps.at(-1), asked.at(-1)];
    this.page.server?.replaceChildren(...steps.map(drawStep));
    this.page.asked?.replaceChildren(...asked.map(drawAsked));
  }
}
