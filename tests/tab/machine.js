// The worker of the page, without the page: `window.machine` sends it messages, and waits for its events.
window.machine = (() => {
  const source = document.querySelector("#worker").textContent;
  const worker = new Worker(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
  /** All events so far, except those of connections and measurements. */
  const events = [];
  /** The last event of each connection, and the bytes that it has received. */
  const connections = new Map();
  let measured;
  let failure;
  /** Functions that look at the next event. */
  let waiting = [];

  const fail = (sentence) => {
    failure = sentence;
    wake();
  };
  const wake = () => {
    for (const look of waiting.splice(0)) look();
  };
  worker.onmessage = ({ data }) => {
    const connection = connections.get(data.connection);
    if (data.event === "failed" || data.event === "unfit") failure = data.sentence;
    if (data.event === "measured") measured = data;
    else if (data.event === "received") connection.pieces.push(data.bytes);
    else if (connection) connection.state = data.event;
    else events.push(data);
    wake();
  };
  worker.onerror = ({ message, lineno }) => fail(`${message} in line ${lineno} of the worker`);

  const tell = (message) => worker.postMessage(message);

  /** Waits until the condition holds, and returns its value. A failure throws. */
  const until = async (condition) => {
    for (;;) {
      if (failure) throw new Error(failure);
      const value = condition();
      if (value) return value;
      await new Promise((resolve) => waiting.push(resolve));
    }
  };

  /** The first event of this kind. */
  const event = (kind) => events.find((it) => it.event === kind);

  /** The component of the page. */
  const component = async () => {
    const packed = document.querySelector("#component").textContent.trim();
    const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
    const unpacked = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Uint8Array(await new Response(unpacked).arrayBuffer());
  };

  /** Loads the component, which waits by the interpreter or as the browser can. */
  const load = async (interpret) => {
    tell({ do: "load", component: await component(), interpret });
    await until(() => event("loaded"));
  };

  /** Starts the server with these arguments, and waits until it listens. */
  const start = async (process, ...options) => {
    if (!event("loaded")) await load(false);
    tell({ do: "start", process, arguments: options });
    await until(() => event("exited") || printed(process).includes("Access "));
  };

  /** What a process has printed to standard output. */
  const printed = (process) => {
    const outputs = events.filter((it) => it.event === "output" && it.process === process && it.stream === "out");
    return outputs.map(({ text }) => text).join("");
  };

  /** Connects, and returns the number of the connection. */
  const connect = async () => {
    const connection = connections.size + 1;
    const it = { state: "new", pieces: [] };
    connections.set(connection, it);
    tell({ do: "connect", connection, host: "127.0.0.1", port: 9000 });
    await until(() => it.state !== "new");
    return connection;
  };

  /** Sends a text with a character for each byte. */
  const send = (connection, text) => {
    tell({ do: "send", connection, bytes: Uint8Array.from(text, (letter) => letter.charCodeAt(0)) });
  };

  const state = (connection) => connections.get(connection).state;

  /** The bytes of a connection so far, a character for each. */
  const received = (connection) => {
    const { pieces } = connections.get(connection);
    return pieces.map((bytes) => Array.from(bytes, (byte) => String.fromCharCode(byte)).join("")).join("");
  };

  /** How many bytes a connection has received. */
  const size = (connection) => connections.get(connection).pieces.reduce((sum, { length }) => sum + length, 0);

  /** In how many pieces a connection has received its bytes. */
  const pieces = (connection) => connections.get(connection).pieces.length;

  /** Sends a text on a new connection, and waits until the server closes the connection. */
  const request = async (text) => {
    const connection = await connect();
    send(connection, text);
    await until(() => state(connection) !== "connected");
    tell({ do: "leave", connection });
    return connection;
  };

  /** Measures the machine. */
  const measure = () => {
    measured = undefined;
    tell({ do: "measure" });
    return until(() => measured);
  };

  /** Waits until the server has nothing more to do, and measures the machine. */
  const settle = async () => {
    while (!(await measure()).sleeping);
    return measured;
  };

  /**
   * Makes a connection for each list of steps. Each step begins when the server has nothing more to do. Returns what each
   * connection has received, and its state at the end.
   */
  const converse = async (conversations) => {
    const all = await Promise.all(conversations.map(connect));
    for (let at = 0; conversations.some((steps) => at < steps.length); at++) {
      conversations.forEach(({ [at]: step }, index) => {
        if (step?.text !== undefined) send(all[index], step.text);
        else if (step) tell({ ...step, connection: all[index] });
      });
      await settle();
    }
    return all.map((connection) => [received(connection), state(connection)]);
  };

  /** Sends these bytes to a new server, and waits until the server closes the connection and stops. */
  const ask = async (text) => {
    await start(1, "--stop-when-stdin-closes");
    const connection = await request(text);
    tell({ do: "close-stdin", process: 1 });
    const { code } = await until(() => event("exited"));
    worker.terminate();
    return { received: received(connection), printed: printed(1), code };
  };

  return { tell, until, load, start, connect, send, state, received, size, pieces, request, measure, settle, converse, ask };
})();
