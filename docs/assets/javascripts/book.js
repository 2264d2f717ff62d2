// What the style sheets cannot do: on paper open every fold and print in ink, let the keyboard
// scroll wide tables and close definitions, and name the search for those who hear the page.
"use strict";

document.querySelector(".md-search")?.setAttribute("aria-label", "Search");

let opened = [];
let scheme = "";

window.addEventListener("beforeprint", () => {
  scheme = document.body.dataset.mdColorScheme;
  document.body.dataset.mdColorScheme = "default";
  opened = [...document.querySelectorAll("details:not([open])")];
  for (const fold of opened) fold.open = true;
});

window.addEventListener("afterprint", () => {
  document.body.dataset.mdColorScheme = scheme;
  for (const fold of opened) fold.open = false;
});

for (const table of document.querySelectorAll(".md-typeset__scrollwrap")) {
  if (table.scrollWidth > table.clientWidth) table.tabIndex = 0;
}

document.addEventListener("keydown", event => {
  if (event.key !== "Escape") return;
  for (const term of document.querySelectorAll(".term:is(:hover, :focus)")) {
    const again = () => term.classList.remove("dismissed");
    term.classList.add("dismissed");
    for (const leaves of ["mouseleave", "blur"]) term.addEventListener(leaves, again, { once: true });
  }
});
