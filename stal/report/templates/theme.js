"use strict";
// The colours follow the system until the button is pressed.
(() => {
  const root = document.documentElement;
  const button = document.getElementById("theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  let chosen = null;
  const show = () => {
    const isDark = chosen ?? system.matches;
    root.dataset.theme = isDark ? "dark" : "light";
    button.textContent = isDark ? "light" : "dark";
    button.setAttribute("aria-label", `Use ${isDark ? "light" : "dark"} colours`);
  };
  system.addEventListener("change", show);
  button.addEventListener("click", () => {
    chosen = root.dataset.theme !== "dark";
    show();
  });
  show();
})();
