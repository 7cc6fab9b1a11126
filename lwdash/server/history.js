// One entry in the browser's history for each user action.
// Streamlit adds an entry whenever a script writes into the address: on the way from one page to another also the old
// page with the new page's parameters, to which the Back button would then lead. What follows without a click or a key
// in between belongs to the same step, and replaces its entry.
(() => {
  let acted = false;
  for (const kind of ["pointerdown", "click", "keydown"]) {
    addEventListener(kind, (event) => { acted ||= event.isTrusted; }, { capture: true, passive: true });
  }
  const push = history.pushState.bind(history);
  history.pushState = (...entry) => {
    (acted ? push : history.replaceState.bind(history))(...entry);
    acted = false;
  };
})();
