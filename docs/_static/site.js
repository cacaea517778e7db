// What the theme leaves out for the keyboard and for screen readers. The pages can be read without it.
addEventListener("load", () => {
  for (const caption of document.querySelectorAll(".caption[role=heading]")) caption.ariaLevel = 2;
  for (const box of document.querySelectorAll("pre, .table-wrapper, .output, .math-block")) {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
  }
  for (const label of document.querySelectorAll(".nav-overlay-icon, .toc-overlay-icon")) {
    label.tabIndex = 0;
    label.role = "button";
    label.ariaLabel = document.getElementById(label.htmlFor).ariaLabel;
    label.addEventListener("keydown", (event) => { if (event.key === "Enter") label.click(); });
  }
});
