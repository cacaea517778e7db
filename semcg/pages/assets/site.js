// The theme's button, the two lists of links, folded on narrow screens, and keys for what scrolls. The pages can be read without.
(() => {
  const root = document.documentElement, button = document.getElementById("theme");
  const show = () => button.setAttribute("aria-pressed", String(root.dataset.theme === "dark"));
  button.addEventListener("click", () => {
    root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
    try { localStorage.setItem("semcg-theme", root.dataset.theme); } catch (error) { /* only this page */ }
    show();
  });
  show();

  const lists = document.querySelectorAll(".pages, .contents"), narrow = matchMedia("(max-width: 70rem)");
  const fold = () => { for (const list of lists) list.open = !narrow.matches; };
  narrow.addEventListener("change", fold);
  fold();

  // Whatever is wider than its column can be reached and scrolled by keyboard.
  const reach = () => {
    for (const box of document.querySelectorAll("pre, .scroll, .formula")) {
      if (box.scrollWidth > box.clientWidth + 1) {
        box.tabIndex = 0;
        box.setAttribute("role", "region");
        box.setAttribute("aria-label", "Scrolls sideways");
      } else {
        box.removeAttribute("tabindex");
        box.removeAttribute("role");
        box.removeAttribute("aria-label");
      }
    }
  };
  addEventListener("load", reach);
  addEventListener("resize", reach);
})();
