"use strict";
// How old everything is by the clock of whoever looks, so that a dead pipeline looks dead. What
// scripts/site last wrote is in state.js, which an open page reads again while the site is served.

{
  const MINUTE = 60000;
  const LENGTHS = [["day", 1440 * MINUTE], ["hour", 60 * MINUTE], ["minute", MINUTE]];
  const first = window.siteState;

  /** How long something takes, in words. */
  function inWords(milliseconds) {
    for (const [unit, length] of LENGTHS) {
      const count = Math.floor(milliseconds / length);
      if (count >= 1) return `${count} ${unit}${count > 1 ? "s" : ""}`;
    }
    return "less than a minute";
  }

  /** What is wrong with the age of what is shown, or nothing. */
  function complaint() {
    const { dataUpTo, builtAt, failedAt, every, maxAge } = window.siteState;
    const old = (time) => inWords(Date.now() - Date.parse(time));
    if (failedAt) return `These pages could not be built again ${old(failedAt)} ago; scripts/site says why. They show what was known ${old(dataUpTo ?? builtAt)} ago.`;
    if (every && Date.now() - Date.parse(builtAt) > 3 * every * 1000 + MINUTE) return `These pages are ${old(builtAt)} old. They are to be built again every ${inWords(every * 1000)}, but scripts/site --serve does not answer.`;
    if (dataUpTo && Date.now() - Date.parse(dataUpTo) > maxAge * 1000) return `These data are ${old(dataUpTo)} old: no build has succeeded since. Look at Pipeline health, or run scripts/dbt build, then scripts/site.`;
    return "";
  }

  function tellTime() {
    for (const time of document.querySelectorAll("time.ago")) {
      time.title ||= time.textContent;
      const age = Date.now() - Date.parse(time.dateTime);
      const [warned, failed] = [time.dataset.warn, time.dataset.error].map((seconds) => age > seconds * 1000);
      time.textContent = `${inWords(age)} ago${failed ? ": too long" : warned ? ": long" : ""}`;
      time.classList.toggle("bad", failed);
    }
    const line = document.getElementById("stale");
    const text = complaint();
    if (line.textContent !== text) line.textContent = text;
    line.hidden = !text;
    document.getElementById("newer").hidden = window.siteState.builtAt === first.builtAt;
  }

  function lookAgain() {
    const script = Object.assign(document.createElement("script"), { src: `assets/state.js?${Date.now()}` });
    script.onload = script.onerror = () => { script.remove(); tellTime(); };
    document.head.append(script);
  }

  tellTime();
  setInterval(tellTime, MINUTE / 2);
  if (first.every && location.protocol.startsWith("http")) setInterval(lookAgain, Math.max(first.every, 10) * 1000);
}
