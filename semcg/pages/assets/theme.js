// Before anything is drawn: the theme that was chosen here, else the one that the system prefers.
(() => {
  let theme = null;
  try { theme = localStorage.getItem("semcg-theme"); } catch (error) { /* no storage: the system decides */ }
  theme = theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  document.documentElement.dataset.theme = theme;
})();
