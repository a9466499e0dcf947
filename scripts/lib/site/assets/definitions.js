"use strict";

// A link to a column opens the part of the page that it is folded into.
function unfold() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let box = target; box; box = box.parentElement) {
    if (box.tagName === "DETAILS") box.open = true;
  }
  target?.scrollIntoView();
}
addEventListener("hashchange", unfold);
unfold();
document.body.dataset.ready = "";
