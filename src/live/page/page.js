// The live page. The server sends its events (`GET /events`); this script takes them, and the wire draws the connections.
import { Connection, DRAWN, KEPT, Reader, Wire } from "./wire.js";
import { byId, count, drawMessage, fromBytes, make, number, setText, toBytes } from "./wire.js";

/** How many bytes of an answer to a request by hand are drawn. */
const SHOWN = 16 * 1024;

const wire = new Wire({
  connections: byId("connections"),
  server: byId("server-events"),
  asked: byId("asked"),
  address,
  send: (binary, out) => sendByHand(toBytes(binary), out),
  intoForm: putIntoForm,
  drawn: drawAround,
});
const { model } = wire;

// ----------------------------------------------------------------------------------------------- around the connections

/** The address of the server. If this page came too late for it: the page has the next port. */
function address() {
  return model.address || `127.0.0.1:${Number(location.port) - 1}`;
}

/** Draws what stands around the connections. */
function drawAround() {
  const all = wire.wanted();
  const nothing = `No client has called yet. Open http://${address()} in a browser, or send a request from this page.`;
  byId("nothing").hidden = all.length > 0;
  setText(
    byId("nothing"),
    wire.only ? `Connection ${wire.only} is not among the last ${number(KEPT)} events.` : nothing,
  );
  byId("older").hidden = all.length <= DRAWN;
  setText(
    byId("older"),
    `${count(all.length - DRAWN, "older connection")} not shown; "only connection" shows one of them.`,
  );
  byId("sandbox").hidden = model.asked.length === 0;
  drawTotals(all);
  drawLoad();
  if (model.isOtherRun)
    setStatus("Another run of the server has begun: this page is empty again, and shows the new run.");
  model.isOtherRun = false;
}

/** @param {Connection[]} all */
function drawTotals(all) {
  const open = all.filter(({ closed, hasGaps }) => !closed && !hasGaps).length;
  const answers = all.reduce((sum, connection) => sum + connection.answers, 0);
  const faults = all.reduce((sum, connection) => sum + connection.faults, 0);
  const mistakes = faults ? `, ${number(faults)} of them to a mistake` : "";
  const refusals = model.asked.filter(({ allowed }) => allowed === false).length;
  const sandbox = refusals ? ` The sandbox refused ${count(refusals, "thing")}.` : "";
  const some = `${count(all.length, "connection")}, ${number(open)} of them open; ${count(answers, "answer")}`;
  setText(byId("totals"), `${some}${mistakes}.${sandbox}`);
}

function drawLoad() {
  const load = model.isLoaded(performance.now()) ? model.load : undefined;
  byId("load").hidden = !load;
  if (!load) return;
  const { rate, skipped } = load;
  const samples = `This page is showing samples: ${count(skipped, "event")} just now were not sent to it.`;
  setText(byId("load"), `${number(Math.round(rate))} requests a second. ${samples}`);
}

// ------------------------------------------------------------------------------------------------------------ by hand

/** @type {AbortController | undefined} */
let sending;

/**
 * Sends these bytes as they are, and shows what comes back.
 * @param {Uint8Array<ArrayBuffer>} bytes @param {HTMLElement} out
 */
async function sendByHand(bytes, out) {
  sending?.abort();
  const abort = (sending = new AbortController());
  const began = performance.now();
  out.replaceChildren(make("p", {}, "Sent. The server has not answered yet ..."));
  byId("cancel").hidden = out !== byId("came-back");
  const draw = (/** @type {Node[]} */ ...told) => out.replaceChildren(make("h3", {}, "What came back"), ...told);
  try {
    // The type is one that a page of another site may not send without being asked.
    const headers = { "Content-Type": "application/octet-stream" };
    const answer = await fetch("/send", { method: "POST", body: bytes, headers, signal: abort.signal });
    let [binary, ms] = ["", performance.now() - began];
    const so = answer.ok
      ? () => draw(...drawCameBack(binary, ms, fromBytes(bytes)))
      : () => draw(problem(answer.status));
    // What has come is drawn at once: a connection that stays open ends the answer late.
    for (const reader = (answer.body ?? new ReadableStream()).getReader(); ; so()) {
      const { done, value } = await reader.read();
      if (done) break;
      binary += fromBytes(value);
      ms = performance.now() - began;
    }
    so();
  } catch {
    const why = abort.signal.aborted
      ? "You stopped waiting."
      : "The server of this page does not answer. Is it still running?";
    // What has come stays.
    if (out.querySelector(".message")) out.append(make("p", {}, why));
    else draw(make("p", {}, why));
  }
  if (sending === abort) byId("cancel").hidden = true;
  model.news.sentences.push(out.querySelector(":scope > p:last-of-type")?.textContent ?? "");
}

/** @param {number} status */
function problem(status) {
  const busy = "The server is busy: too many requests by hand at the same time. Try again.";
  return make("p", { className: "problem" }, status === 503 ? busy : `This page could not send it: ${status}.`);
}

/** @param {string} binary @param {number} ms @param {string} request */
function drawCameBack(binary, ms, request) {
  const methods = [request.trimStart().split(" ")[0]];
  const pieces = new Reader(true, methods).feed(binary.slice(0, SHOWN));
  const what = binary ? count(binary.length, "byte") : "nothing: the server has hung up";
  const told = make("p", {}, `Back came ${what}, after ${number(Math.round(ms))} ms.`);
  return binary ? [told, drawMessage({ pieces, isServer: true, unseen: Math.max(0, binary.length - SHOWN) })] : [told];
}

/** The bytes that the person has typed. */
function typedBytes() {
  const text = byId("typed").value;
  return new TextEncoder().encode(byId("crlf").checked ? text.replace(/\r?\n/g, "\r\n") : text);
}

/** Says whether the request is whole, while it is typed. */
function drawTyped() {
  const bytes = typedBytes();
  const reader = new Reader(false);
  reader.feed(fromBytes(bytes));
  const missing =
    reader.mode === "head"
      ? "No empty line ends the head yet, so the server would wait."
      : "The body is not whole, so the server would wait.";
  setText(
    byId("typed-state"),
    `${count(bytes.length, "byte")}. ${reader.isInside ? missing : reader.complete ? "The request is whole." : ""}`,
  );
}

/** Puts a request into the form, to be changed. @param {string} binary */
function putIntoForm(binary) {
  byId("crlf").checked = !/(?<!\r)\n/.test(binary);
  byId("typed").value = binary.replace(/\r\n/g, "\n");
  drawTyped();
  byId("typed").focus();
}

// -------------------------------------------------------------------------------------------------- the stream of events

/** Events that came while the page is paused. @type {[ServerEvent, number, number][] | undefined} */
let waiting;
let lost = 0;

/** @param {MessageEvent} message */
function take(message) {
  let event;
  try {
    event = JSON.parse(message.data);
  } catch {
    return;
  }
  const id = Number(message.lastEventId);
  if (event.event === "hello" && waiting && event.run !== model.run) waiting = [];
  if (waiting) return keep(waiting, [event, id, performance.now()]);
  addOnce(event, id, performance.now());
}

/** Keeps the last events for later. @template Entry @param {Entry[]} waiting @param {Entry} entry */
function keep(waiting, entry) {
  waiting.push(entry);
  if (waiting.length <= KEPT) return;
  waiting.shift();
  lost++;
}

/** The number of the last event. After a lost connection the stream repeats events; each counts once. */
let lastId = 0;

/** @param {ServerEvent} event @param {number} id @param {number} local */
function addOnce(event, id, local) {
  if (event.event === "hello" && event.run !== model.run) lastId = 0;
  const hasId = event.event !== "hello" && event.event !== "dropped" && id > 0;
  if (hasId && id <= lastId) return;
  wire.take(event, local);
  if (hasId) lastId = id;
}

let streamStatus = { text: "", isProblem: false };

/** Sets the sentence about the stream, and tells it. @param {string} text */
function setStatus(text, isProblem = false) {
  if (text === streamStatus.text) return;
  streamStatus = { text, isProblem };
  drawStatus();
}

function drawStatus() {
  const { text, isProblem } = waiting ? { text: "Paused: new events wait." } : streamStatus;
  setText(byId("status"), text);
  byId("status").className = isProblem ? "status problem" : "status";
  model.news.sentences.push(text);
}

/** Listens. `EventSource` comes back by itself, unless the server has refused. */
function listen() {
  const source = new EventSource("/events");
  source.addEventListener("open", () => setStatus("This page listens to the server."));
  source.addEventListener("message", take);
  source.addEventListener("error", () => {
    if (source.readyState === EventSource.CONNECTING)
      setStatus("The server does not answer. This page tries again ...", true);
    else refused();
  });
}

/** An `EventSource` does not tell the status, so this asks once more. */
async function refused() {
  const abort = new AbortController();
  const status = await fetch("/events", { signal: abort.signal }).then(
    answer => answer.status,
    () => 0,
  );
  abort.abort();
  const why = status === 503 ? "Too many pages watch this server. Close another one." : "The server does not answer.";
  setStatus(`${why} This page tries again every 5 seconds ...`, true);
  setTimeout(listen, 5000);
}

let spokenAt = 0;

/** Tells the screen reader what has happened. Some browsers make up for late timers, so this looks at the clock. */
function speak() {
  const now = performance.now();
  const sentence = now - spokenAt < 990 ? "" : wire.news();
  if (!sentence) return;
  spokenAt = now;
  setText(byId("spoken"), sentence);
}

/** Once a second: silence makes a state, too. */
function tick() {
  speak();
  if (waiting) setText(byId("pause"), `Go on (${waiting.length + lost} events)`);
  else wire.soon();
}

function togglePause() {
  const entries = waiting;
  waiting = entries ? undefined : [];
  byId("pause").setAttribute("aria-pressed", String(Boolean(waiting)));
  setText(byId("pause"), waiting ? "Go on" : "Pause");
  drawStatus();
  if (!entries) return;
  if (lost > 0) wire.take({ event: "dropped", count: lost });
  lost = 0;
  for (const entry of entries) addOnce(...entry);
  wire.draw();
}

function clear() {
  if (waiting) [waiting, lost] = [[], 0];
  wire.clear();
}

function chooseOnly() {
  wire.only = Number(byId("only").value);
  wire.draw();
}

// -------------------------------------------------------------------------------------------------------- the controls

byId("pause").addEventListener("click", togglePause);
byId("clear").addEventListener("click", clear);
byId("only").addEventListener("input", chooseOnly);
// After a reload a browser may keep the number.
wire.only = Number(byId("only").value);
byId("captions").addEventListener("change", () => (wire.captions = byId("captions").checked));
byId("typed").value = "GET / HTTP/1.1\nHost: localhost\nConnection: close\n\n";
byId("typed").addEventListener("input", drawTyped);
byId("crlf").addEventListener("change", drawTyped);
byId("cancel").addEventListener("click", () => sending?.abort());
byId("hand").addEventListener("submit", (/** @type {Event} */ event) => {
  event.preventDefault();
  sendByHand(typedBytes(), byId("came-back"));
});
drawTyped();
listen();
setInterval(tick, 1000);
