// What a person does with the page: `window.page` clicks, types, chooses files, and waits for what the page shows.
window.page = (() => {
  const byId = (id) => document.getElementById(id);

  /** Waits until the condition holds, and throws if that takes too long. */
  const until = async (condition) => {
    for (const end = performance.now() + 50_000; !condition(); ) {
      if (performance.now() > end) throw new Error(`in vain: ${condition}; the page shows\n${document.body.innerText}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };

  /** Waits until the page has loaded the server. */
  const ready = () => until(() => byId("status").innerText.startsWith("The server is ready"));

  const type = (id, text) => {
    byId(id).value = text;
    byId(id).dispatchEvent(new Event("input"));
  };

  /** Starts the server with these options, and waits until it listens or ends. */
  const start = async (options) => {
    type("options", options);
    for (const id of ["state", "output"]) byId(id).textContent = "";
    byId("start").click();
    await until(() => byId("state").innerText.startsWith("It has ended") || byId("output").innerText.includes("\nAccess "));
    return [byId("state").innerText, byId("output").innerText];
  };

  /** Chooses a file with these bytes, and waits for the sentence about it. */
  const choose = async (name, bytes) => {
    const files = new DataTransfer();
    files.items.add(new File([Uint8Array.from(bytes)], name));
    byId("status").textContent = "";
    byId("file").files = files.files;
    byId("file").dispatchEvent(new Event("change"));
    await until(() => byId("status").innerText !== "");
    return byId("status").innerText;
  };

  /** Does a whole scene. Returns what the page says of it, and of each step that was not done. */
  const play = async (scene) => {
    byId("scene").selectedIndex = scene - 1;
    byId("scene").dispatchEvent(new Event("change"));
    if (!byId("play").hidden) byId("play").click();
    await until(() => !byId("play").disabled);
    const problems = Array.from(document.querySelectorAll(".not-done"), (mark) => mark.parentElement.innerText);
    return [byId("progress").innerText, problems];
  };

  /** The page of the server in the frame of the browser. */
  const browse = async () => {
    byId("browse").requestSubmit();
    await new Promise((resolve) => byId("shown").addEventListener("load", resolve, { once: true }));
    return byId("shown").srcdoc;
  };

  return { byId, until, ready, type, start, choose, play, browse };
})();
