// The lesson: a scene of docs/lecture.md, a button for each of its commands, and a mark that says whether it happened.
import { EXTRAS, missing, readBlock } from "./scenes.js";
import { Stage, Terminal } from "./stage.js";
import { byId, count, make, setText } from "./wire.js";

/** A page in one column. */
const NARROW = matchMedia("(max-width: 62rem)");

/** A step of a scene: a button, if there is something to do, and a mark. */
class Task {
  mark = make("span", { className: "mark" });
  element = make("p", { className: "task" }, this.mark);
  isDone = false;

  /**
   * @param {() => void} changed is called when the mark has changed
   * @param {() => string | Promise<string>} check returns what is wrong, or ""
   * @param {string} [label] of the button, which does it and checks; without one, others do what is checked
   */
  constructor(changed, check, label) {
    this.changed = changed;
    this.check = check;
    this.hasButton = label !== undefined;
    if (!label) return;
    const button = make("button", { type: "button" }, label);
    button.addEventListener("click", () => this.do());
    this.element.prepend(button);
  }

  async do() {
    this.set(await this.check());
  }

  /** @param {string} problem */
  set(problem) {
    this.isDone = problem === "";
    this.mark.className = `mark ${problem ? "not-done" : "done"}`;
    setText(this.mark, problem ? `✗ ${problem}` : "✓ it happened");
    this.changed();
  }
}

/** The part of the page with the lesson. */
export class Lesson {
  /** The scenes, and at last the list of words. @type {any[]} */
  scenes = JSON.parse(byId("lecture").textContent);
  /** @type {Task[]} the steps of the scene that is shown, in their order */
  tasks = [];

  /** @param {Stage} stage @param {(url: string) => Promise<boolean>} browse opens a page in the browser */
  constructor(stage, browse) {
    this.stage = stage;
    this.browse = browse;
    for (const { number, title, minutes } of this.scenes.slice(0, -1)) {
      byId("scene").append(make("option", {}, `${number}. ${title} (${minutes} minutes)`));
    }
    byId("scene").addEventListener("change", () => this.show());
    byId("previous").addEventListener("click", () => this.turn(-1));
    byId("next").addEventListener("click", () => this.turn(1));
    byId("play").addEventListener("click", () => this.play());
    stage.changed = () => this.look();
    this.show();
  }

  /** @param {number} by */
  turn(by) {
    byId("scene").selectedIndex += by;
    this.show();
    byId("lesson-title").focus();
  }

  /** Shows the scene that is chosen. */
  show() {
    const at = byId("scene").selectedIndex;
    const last = this.scenes.length - 2;
    const text = byId("text");
    byId("browse").after(byId("frame"));
    // The words are those of docs/lecture.md, made HTML when this file was built.
    text.innerHTML = this.scenes[at].html + (at === last ? this.scenes[last + 1].words : "");
    const elements = [...text.querySelectorAll("pre.console, p.browser")];
    const blocks = elements.map(element => readBlock(element.textContent ?? "", element.classList.contains("server")));
    // A scene whose server is another program can only be read here.
    const isForReading = blocks.some(block => block.isServer && block.title && !block.run);
    this.tasks = [];
    elements.forEach((element, index) => {
      element.classList.toggle("of-server", blocks[index].isServer);
      element.classList.toggle("of-client", !blocks[index].isServer);
      if (element.matches(".browser")) element.replaceWith(this.visit(element.textContent ?? ""));
      else if (!isForReading) element.after(this.step(blocks[index]));
    });
    for (const extra of EXTRAS[this.scenes[at].number] ?? []) text.append(...this.extra(extra));
    byId("play").hidden = this.tasks.length === 0;
    byId("previous").disabled = at === 0;
    byId("next").disabled = at === last;
    this.drawProgress();
  }

  /** @param {() => string | Promise<string>} check @param {string} [label] */
  task(check, label) {
    const task = new Task(() => this.drawProgress(), check, label);
    this.tasks.push(task);
    return task.element;
  }

  /** A visit of the browser. @param {string} url */
  visit(url) {
    const element = this.task(async () => {
      if (!this.stage.server) await this.stage.serve([]);
      const isThere = await this.browse(url);
      if (NARROW.matches) element.append(byId("frame"));
      return isThere ? "" : "nothing came back";
    }, `Open ${url} in the browser`);
    return element;
  }

  /** A block of the lesson. @param {import("./scenes.js").Block} block */
  step({ isServer, title, run, expected }) {
    const { stage } = this;
    const problem = (/** @type {string} */ text) => {
      const line = missing(expected, text);
      return line === undefined ? "" : `this was not printed: ${line}`;
    };
    if (!title) return this.task(() => problem(stage.printed));
    if (!run) return make("p", { className: "dim" }, "This needs the whole project: it does not run in a tab.");
    const element = this.task(async () => {
      // The lesson leaves its server running from scene to scene; and this one has none.
      const needsNone = expected.some(line => line.includes("nothing is listening"));
      if (needsNone) await stage.stop();
      else if (!isServer && !stage.server) await stage.serve([]);
      const terminal = isServer ? undefined : stage.terminal(title);
      await run(stage, terminal);
      // On a phone the other parts of the page are far below.
      element.querySelector(".terminal")?.remove();
      if (terminal && NARROW.matches) element.append(terminal.card);
      if (isServer) await stage.until(() => problem(stage.printed) === "");
      return problem(terminal ? terminal.printed : stage.printed);
    }, "Do it");
    return element;
  }

  /** A task that the tab adds. @param {import("./scenes.js").Extra} extra */
  extra({ title, words, label, run }) {
    const input = make("input", { value: "Hello, you!", maxLength: 11, ariaLabel: label });
    const came = make("p", { className: "dim" });
    const task = this.task(async () => {
      const [text, isRight] = await run(this.stage, input.value);
      setText(came, text);
      return isRight ? "" : "this is not what should happen";
    }, "Do it");
    return [make("h3", {}, title), make("p", {}, words), label ? input : "", task, came];
  }

  /** Looks whether the server has printed what blocks without a command say. */
  look() {
    for (const task of this.tasks) if (!task.hasButton && !task.isDone && task.check() === "") task.set("");
  }

  drawProgress() {
    const done = this.tasks.filter(task => task.isDone).length;
    const words = `${done} of ${count(this.tasks.length, "step")} done.`;
    setText(byId("progress"), this.tasks.length === 0 ? "This scene is for reading." : words);
  }

  /** Does all that the scene shows, in its order. */
  async play() {
    byId("play").disabled = true;
    for (const task of this.tasks) {
      task.element.scrollIntoView({ block: "nearest" });
      if (!task.hasButton) await this.stage.until(() => task.check() === "");
      await task.do();
    }
    byId("play").disabled = false;
  }
}
