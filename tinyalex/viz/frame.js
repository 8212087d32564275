// A page in a frame: light or dark as the page around it, where it may look at that, else as the system; and as high as it needs.

const system = matchMedia("(prefers-color-scheme: dark)");
let told = null; // by the page around, if it may not be looked at: files on a disk may not look at one another

/** Whether the page around this one says that it is dark: a site's or a notebook's root, or null. */
function darkAround() {
  if (told) return told === "dark";
  try {
    const { documentElement: root, body } = parent.document;
    if (parent === window) return null;
    if (root.dataset.theme) return root.dataset.theme === "dark";
    if (body.dataset.jpThemeLight) return body.dataset.jpThemeLight === "false";
  } catch {
    return null; // a page of another origin
  }
  return null;
}

/** Set the theme now and whenever it changes; then call `changed`. */
function followTheme(changed) {
  const set = () => {
    document.documentElement.dataset.theme = darkAround() ?? system.matches ? "dark" : "light";
    changed();
  };
  system.addEventListener("change", set);
  addEventListener("message", ({ data }) => {
    if (!["dark", "light"].includes(data?.theme)) return;
    told = data.theme;
    set();
  });
  if (parent !== window) parent.postMessage("which theme?", "*");
  try {
    if (parent !== window) {
      const watch = new MutationObserver(set);
      for (const node of [parent.document.documentElement, parent.document.body]) watch.observe(node, { attributes: true });
    }
  } catch { /* a page of another origin */ }
  set();
}

/** Make the frame as high as the page in it. */
function fitFrame() {
  const fit = () => { try { frameElement.style.height = `${document.body.scrollHeight + 4}px`; } catch { /* another origin */ } };
  if (parent !== window) new ResizeObserver(fit).observe(document.body);
}
