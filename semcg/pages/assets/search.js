// Search: every word of the query must begin a word of the section; words in the heading count more.
(() => {
  const field = document.getElementById("words"), list = document.getElementById("found");
  const said = document.getElementById("said");
  const fold = (text) => text.toLowerCase().normalize("NFD").replace(/[\u0300-\u036f]/g, "");
  const split = (text) => fold(text).split(/[^\p{L}\p{N}_]+/u).filter(Boolean);
  const sections = PAGES.map((s) => ({ ...s, title: split(s.heading), body: split(s.text) }));

  const search = (query) => {
    const words = split(query);
    if (!words.length) return [];
    const hits = [];
    for (const section of sections) {
      let score = 0;
      for (const word of words) {
        const above = section.title.filter((w) => w.startsWith(word)).length;
        const inside = section.body.filter((w) => w.startsWith(word)).length;
        if (!above && !inside) { score = 0; break; }
        score += 10 * above + Math.min(inside, 5);
      }
      if (score) hits.push([score, section]);
    }
    return hits.sort((a, b) => b[0] - a[0]).slice(0, 30).map((hit) => hit[1]);
  };

  // A piece of the text about the first hit, the words marked; text only, so that nothing of it is read as HTML.
  const snippet = (text, words) => {
    const line = document.createElement("p"), at = Math.max(0, fold(text).indexOf(words[0] || "") - 60);
    const piece = (at ? "… " : "") + text.slice(at, at + 200) + (at + 200 < text.length ? " …" : "");
    for (const token of piece.split(/([\p{L}\p{N}_]+)/u)) {
      const hit = words.some((word) => fold(token).startsWith(word));
      const node = document.createElement(hit ? "mark" : "span");
      node.textContent = token;
      line.append(hit ? node : token);
    }
    return line;
  };

  const show = () => {
    const query = field.value, found = search(query);
    list.replaceChildren(...found.map((section) => {
      const item = document.createElement("li"), link = document.createElement("a");
      link.href = section.anchor ? `${section.file}#${section.anchor}` : section.file;
      link.textContent = section.page === section.heading ? section.page : `${section.page}: ${section.heading}`;
      item.append(link, snippet(section.text, split(query)));
      return item;
    }));
    said.textContent = query.trim() ? `${found.length} ${found.length === 1 ? "place" : "places"}` : "";
  };

  field.value = new URLSearchParams(location.search).get("q") || "";
  field.addEventListener("input", show);
  document.getElementById("search").addEventListener("submit", (event) => { event.preventDefault(); show(); });
  show();
})();
