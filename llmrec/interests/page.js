"use strict";
(() => {
  const PAGE = 50;
  const { events, lists, words } = JSON.parse(document.getElementById("data").textContent);
  const interests = [...document.querySelectorAll(".interest")];
  const folded = (text) => text.toLocaleLowerCase();
  const filled = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);

  function cell(row, kind, text) {
    const made = row.insertCell();
    made.className = kind;
    made.textContent = text;
    return made;
  }

  function addRow(body, [place, share], shares) {
    const event = events[place];
    const row = body.insertRow();
    const when = cell(row, "when", event.date || words.no_date);
    if (event.time) when.title = event.time;
    cell(row, event.against ? "did against" : "did", event.did);
    const about = cell(row, "about", "");
    const title = document.createElement("bdi");
    title.textContent = event.title;
    about.append(title);
    if (shares) cell(row, "share", share);
  }

  // Rows are made when a list is opened, a page at a time: a profile may rest on thousands of events.
  function fill(details) {
    if (details.dataset.filled) return;
    details.dataset.filled = "yes";
    const list = lists[details.dataset.list];
    const shares = list.length > 0 && list[0].length > 1;
    const table = document.createElement("table");
    const head = table.createTHead().insertRow();
    for (const kind of shares ? ["when", "did", "about", "share"] : ["when", "did", "about"]) {
      const name = document.createElement("th");
      name.scope = "col";
      name.className = kind;
      name.textContent = words[kind];
      if (kind === "share") name.title = words.share_hint;
      head.append(name);
    }
    const body = table.createTBody();
    details.append(table);
    let shown = 0;
    const button = document.createElement("button");
    button.type = "button";
    const more = () => {
      for (const entry of list.slice(shown, shown + PAGE)) addRow(body, entry, shares);
      shown = Math.min(shown + PAGE, list.length);
      button.hidden = shown === list.length;
      button.textContent = filled(words.more, { count: Math.min(PAGE, list.length - shown) });
    };
    button.addEventListener("click", more);
    details.append(button);
    more();
  }

  function visible(details) {
    for (let above = details.parentElement.closest("details"); above; ) {
      if (!above.open) return false;
      above = above.parentElement.closest("details");
    }
    return true;
  }

  function fillWhatIsSeen() {
    for (const details of document.querySelectorAll("details.events[open]")) {
      if (visible(details)) fill(details);
    }
  }

  let waiting = 0;
  document.addEventListener("toggle", (event) => {
    // Many may open at once: they are looked at together.
    if (event.target.open) waiting ||= setTimeout(() => { waiting = 0; fillWhatIsSeen(); });
  }, true);

  const nodes = interests.map((item) => ({
    item,
    details: item.querySelector("details"),
    above: item.parentElement.closest(".interest"),
    label: folded(item.querySelector(".name bdi").textContent),
    list: lists[item.dataset.at],
    leaf: !item.querySelector(".tree"),
  }));
  const byItem = new Map(nodes.map((node) => [node.item, node]));
  const titles = events.map((event) => folded(event.title));

  for (const [id, open] of [["open-all", true], ["close-all", false]]) {
    document.getElementById(id)?.addEventListener("click", () => {
      // Leaves hold lists of events only: opened all at once they would bury the tree.
      for (const node of nodes) if (!open || !node.leaf) node.details.open = open;
    });
  }

  const box = document.getElementById("filter");
  let before = null;
  function filter() {
    const wanted = folded(box.value.trim());
    const status = document.getElementById("shown");
    if (!wanted) {
      for (const node of nodes) {
        node.item.hidden = false;
        if (before) node.details.open = before.get(node);
      }
      before = null;
      status.textContent = "";
      return;
    }
    before ??= new Map(nodes.map((node) => [node, node.details.open]));
    const hits = titles.map((title) => title.includes(wanted));
    const kept = new Set();
    const opened = new Set();
    for (const node of nodes) {
      const named = node.label.includes(wanted);
      const hit = node.list.some(([place]) => hits[place]);
      node.within = named || Boolean(byItem.get(node.above)?.within);
      if (node.within || hit) kept.add(node);
      // An event that is found is found in all broader interests too: what is open leads down to it.
      if (hit && !node.leaf) opened.add(node);
      if (named) {
        for (let above = byItem.get(node.above); above; above = byItem.get(above.above)) {
          kept.add(above);
          opened.add(above);
        }
      }
    }
    for (const node of nodes) {
      node.item.hidden = !kept.has(node);
      if (kept.has(node)) node.details.open = opened.has(node);
    }
    status.textContent = filled(words.shown, { count: kept.size, total: nodes.length });
  }
  box?.addEventListener("input", filter);

  function follow() {
    const node = byItem.get(document.getElementById(location.hash.slice(1)));
    if (!node) return;
    if (node.item.hidden) {
      box.value = "";
      filter();
    }
    for (let way = node; way; way = byItem.get(way.above)) way.details.open = true;
    node.item.scrollIntoView({ block: "nearest" });
    node.item.querySelector("summary").focus();
  }
  window.addEventListener("hashchange", follow);
  follow();
  fillWhatIsSeen();
})();
