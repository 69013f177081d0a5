// Types of the scripts. They are here and not in the scripts, because those are a part of what is downloaded.

/** What is known of a word: a sentence, and the section of the rule. */
type About = [string, string];

/** A piece of a message: bytes of its head or of its body, which begin at `start`. */
interface Piece {
  message: number;
  part: "head" | "body";
  /** A binary string. */
  bytes: string;
  start: number;
  isMidLine: boolean;
  /** Where a mistake is. */
  mark?: { from: number; to: number };
}

/** A word of a head, and what is known of it. */
interface Token {
  text: string;
  about?: About;
}

/** Where a mistake is in a message. */
interface Place {
  from: number;
  to: number;
  isKnown: boolean;
}

/** An event, as docs/events.md has it, or `hello` and `skipped` of the live page. The last members are those of the page. */
interface ServerEvent {
  event: string;
  time?: number;
  connection?: number;
  peer?: string;
  address?: string;
  backlog?: number;
  wasi?: string;
  bytes?: number;
  text?: string;
  cut?: number;
  line?: string;
  request_bytes?: number;
  status?: number;
  reason?: string;
  body_bytes?: number;
  fault?: string;
  section?: string;
  cause?: string;
  count?: number;
  what?: string;
  detail?: string;
  allowed?: boolean;
  option?: string | null;
  check?: boolean;
  run?: string;
  requests?: number;
  seconds?: number;

  pieces?: Piece[];
  place?: Place & { bytes: string };
  isForgotten?: boolean;
}

/** The parts of a page that a `Wire` draws into, and what it can ask of the page: see wire.js. */
interface PartsOfPage {
  connections: HTMLElement;
  server?: HTMLElement;
  asked?: HTMLElement;
  nothing?: HTMLElement;
  older?: HTMLElement;
  address?: () => string;
  send?: (binary: string, out: HTMLElement) => void;
  intoForm?: (binary: string) => void;
  drawn?: () => void;
}

/** What can be drawn of a message. `unseen` is how many bytes came behind the pieces. */
interface Message {
  pieces: Piece[];
  isServer: boolean;
  unseen?: number;
  /** What can be done with a request. */
  tools?: (message: number) => Node;
}

/** JavaScript Promise Integration, which TypeScript does not know yet. */
declare namespace WebAssembly {
  /** An import that may return a promise: the program waits for it. */
  class Suspending {
    constructor(wait: (...values: any[]) => any);
  }
  /** An export that returns a promise, because it may wait. */
  function promising(run: Function): (...values: any[]) => Promise<any>;
}
