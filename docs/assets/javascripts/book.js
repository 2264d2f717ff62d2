// What the style sheets cannot do: open every fold on paper, let the keyboard scroll wide tables,
// and name the search for those who hear the page.
"use strict";

document.querySelector(".md-search")?.setAttribute("aria-label", "Search");

let opened = [];

window.addEventListener("beforeprint", () => {
  opened = [...document.querySelectorAll("details:not([open])")];
  for (const fold of opened) fold.open = true;
});

window.addEventListener("afterprint", () => {
  for (const fold of opened) fold.open = false;
});

for (const table of document.querySelectorAll(".md-typeset__scrollwrap")) {
  if (table.scrollWidth > table.clientWidth) table.tabIndex = 0;
}
