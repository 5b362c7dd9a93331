// What a page does beyond showing: tips beside marks, keys, copying, ages, and saying when the
// server is gone. Texts go into the page as text, never as markup.
"use strict";
(() => {
  const find = (selector, within = document) => within.querySelector(selector);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];

  // Tips: the mark under the pointer, or the one that has the focus.
  const tip = find("#tip");
  let tipped = null;
  const place = (mark, event) => {
    const box = mark.getBoundingClientRect();
    const x = event ? event.clientX : box.left + box.width / 2;
    const y = event ? event.clientY : box.top;
    const width = tip.offsetWidth, height = tip.offsetHeight;
    const left = Math.min(Math.max(8, x + 14), innerWidth - width - 8);
    const top = y - height - 12 < 8 ? y + 18 : y - height - 12;
    tip.style.transform = `translate(${left}px, ${top}px)`;
  };
  const show = (mark, event) => {
    tipped = mark;
    tip.textContent = mark.dataset.tip;
    tip.hidden = false;
    place(mark, event);
  };
  const hide = () => { tipped = null; tip.hidden = true; };
  const marked = (event) => event.target.closest?.("[data-tip]");
  document.addEventListener("pointerover", (event) => {
    const mark = marked(event);
    if (mark) show(mark, event); else if (tipped && tipped !== document.activeElement) hide();
  });
  document.addEventListener("pointermove", (event) => { if (tipped && marked(event) === tipped) place(tipped, event); });
  document.addEventListener("focusin", (event) => { const mark = marked(event); if (mark && mark.matches(":focus-visible")) show(mark); });
  document.addEventListener("focusout", (event) => { if (marked(event) === tipped) hide(); });

  // From cell to cell: the nearest one in the direction of the arrow.
  const step = (from, across, up) => {
    const x = +from.dataset.x, y = +from.dataset.y;
    let nearest = null, least = Infinity;
    for (const cell of all("#map [data-x]")) {
      const dx = +cell.dataset.x - x, dy = +cell.dataset.y - y;
      const along = across ? dx * across : dy * up, aside = Math.abs(across ? dy : dx);
      if (along <= 0) continue;
      const distance = along + 3 * aside;
      if (distance < least) { least = distance; nearest = cell; }
    }
    nearest?.focus({ focusVisible: true });
  };
  const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

  // Rows: j and k move, Enter opens the first link.
  let current = null;
  const move = (by) => {
    const rows = all("tr[data-row]").filter((row) => row.offsetParent);
    if (!rows.length) return;
    const at = rows.indexOf(current);
    current?.classList.remove("current");
    current = rows[Math.min(Math.max(at < 0 ? (by > 0 ? 0 : rows.length - 1) : at + by, 0), rows.length - 1)];
    current.classList.add("current");
    current.scrollIntoView({ block: "nearest" });
  };
  const follow = (selector) => { const link = find(selector); if (link) link.click(); };
  const help = find("#help");
  const keys = {
    "?": () => help.showModal(),
    "/": () => find("#search")?.focus(),
    j: () => move(1),
    k: () => move(-1),
    n: () => follow("[data-next]"),
    p: () => follow("[data-previous]"),
    b: () => follow("[data-best]"),
    u: () => follow("[data-up]"),
    r: () => follow(".brand"),
    m: () => find("#map [data-x]")?.focus({ focusVisible: true }),
    Enter: () => { if (current && document.activeElement === document.body) find("a", current)?.click(); },
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || help.open) return;
    if (event.key === "Escape") { hide(); document.activeElement?.blur?.(); return; }
    if (event.target.closest("input, select, textarea")) return;
    const arrow = arrows[event.key], cell = event.target.closest("#map [data-x]");
    if (arrow && cell) { event.preventDefault(); step(cell, ...arrow); return; }
    if (Object.hasOwn(keys, event.key)) {
      if (event.key !== "Enter") event.preventDefault();
      keys[event.key]();
    }
  });
  const button = find("#help-button");
  button.hidden = false;
  button.addEventListener("click", () => help.showModal());

  // Copying a source.
  for (const copy of all("[data-copy]")) {
    if (!navigator.clipboard) break;
    copy.hidden = false;
    copy.addEventListener("click", async () => {
      await navigator.clipboard.writeText(find(`#${copy.dataset.copy} .lines`).textContent);
      copy.textContent = "Copied";
      setTimeout(() => { copy.textContent = "Copy"; }, 1500);
    });
  }

  // Choosing in a form shows what was chosen.
  for (const form of all("form[data-auto]")) {
    form.addEventListener("change", (event) => { if (event.target.matches("select")) form.requestSubmit(); });
    form.addEventListener("submit", () => { for (const field of all("input, select", form)) field.disabled = field.value === ""; });
  }
  addEventListener("pageshow", () => { for (const field of all("form[data-auto] :disabled")) field.disabled = false; });

  // How long something has been in flight.
  const ages = () => {
    for (const time of all("time[data-age]")) {
      const seconds = Math.max(0, Math.round((Date.now() - Date.parse(time.dateTime)) / 1000));
      time.textContent = seconds < 60 ? `${seconds} s` : seconds < 3600 ? `${Math.floor(seconds / 60)} min ${seconds % 60} s` : `${Math.floor(seconds / 3600)} h ${Math.floor(seconds / 60) % 60} min`;
    }
  };
  ages();
  setInterval(ages, 1000);

  // Live parts: nothing is asked for while nobody looks; what is pointed at stays pointed at.
  const offline = find("#offline");
  const say = (text) => { offline.textContent = text; offline.hidden = !text; };
  document.addEventListener("htmx:before:request", (event) => { if (document.hidden && event.target.id === "live") event.preventDefault(); });
  document.addEventListener("htmx:after:swap", () => {
    ages();
    if (current?.isConnected) current.classList.add("current");
    if (!tipped) return;
    const again = tipped.isConnected ? tipped : tipped.id && document.getElementById(tipped.id);
    if (again) { tipped = again; tip.textContent = again.dataset.tip; } else hide();
  });
  document.addEventListener("htmx:after:request", (event) => {
    const status = event.detail?.ctx?.response?.status ?? 0;
    if (status && status < 400) say("");
    else if (status === 401) say("This page's token is not valid any more: evolve view was started again. Open the address it printed.");
    else if (status === 404) say("This run is not in the database any more.");
    else if (status === 503) say("The database cannot be read at the moment. Trying again.");
    else if (status) say("The page could not be brought up to date. Trying again.");
  });
  document.addEventListener("htmx:error", () => say("No answer from evolve view. Trying again; start it anew if it was ended."));
})();
