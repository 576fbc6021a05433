// Copies the page's address and keeps its history short; address_bar.py says why.
const RUN = "run", OTHER = "vs", OWN = ["lesson", "pair", "q"]; // which pages fill in by themselves

// Without a clipboard the address is shown, ready to be copied.
function create(parent) {
  const add = (tag, more) => parent.appendChild(Object.assign(document.createElement(tag), more));
  const button = add("button", { type: "button", textContent: "Copy link", className: "copy-link" });
  const said = add("span", { className: "copy-link-said" });
  said.setAttribute("role", "status");
  const field = add("input", { readOnly: true, hidden: true, className: "copy-link-field" });
  field.setAttribute("aria-label", "Address of this page");
  button.onclick = async () => {
    field.hidden = true;
    try {
      await navigator.clipboard.writeText(location.href);
      said.textContent = `Copied: ${location.href}${opensHere() ? " (opens on this computer only; for a class, see “For teachers” in the README)" : ""}`;
    } catch {
      said.textContent = "The browser gave no clipboard; copy this:";
      Object.assign(field, { hidden: false, value: location.href }).select();
    }
  };
  button.onblur = () => field.hidden && (said.textContent = "");
}

// Whether the address names this computer, so that it leads nowhere elsewhere.
function opensHere() {
  return /^(localhost|.*[.]localhost|127[.][0-9.]+|\[::1\])$/.test(location.hostname);
}

// Whether an address differs from the present one in no more than what pages fill in or drop by themselves.
function isOfPage(to, now) {
  if (to.pathname !== now.pathname) return false;
  const [asked, had] = [to.searchParams, now.searchParams];
  const areSwapped = had.has(OTHER) && asked.get(RUN) === had.get(OTHER) && asked.get(OTHER) === had.get(RUN);
  for (const name of [RUN, OTHER, ...OWN]) {
    if (areSwapped && !OWN.includes(name)) asked.set(name, had.get(name));
    else if (!had.has(name)) asked.delete(name);
    else if (!asked.has(name)) had.delete(name);
  }
  return `${asked}` === `${had}`;
}

const AT_ONCE = 1000; // milliseconds; a busy machine has needed more than 300
let last = null; // the newest change of a page's choices: when, what stood there, and whether it made an entry

// What the next page chose may arrive before its path: it stands in the address of this page for a moment.
function isOfNext(to, now) {
  const isMoment = last && performance.now() - last.when < AT_ONCE;
  return isMoment && to.pathname !== now.pathname && to.search === now.search;
}

function keepHistoryShort() {
  if (history.push) return; // by an earlier page
  history.push = history.pushState;
  history.pushState = function (state, title, url) {
    const to = new URL(url ?? "", location), now = new URL(location);
    const wasEarly = isOfNext(to, now), { entry, href, isNew } = last ?? {};
    last = null;
    if (wasEarly && isNew) return this.replaceState(state, title, url);
    if (wasEarly) this.replaceState(entry, "", href);
    const isNoStep = isOfPage(to, new URL(location));
    if (to.pathname === now.pathname) {
      last = { when: performance.now(), entry: this.state, href: now.href, isNew: !isNoStep };
    }
    return isNoStep ? this.replaceState(state, title, url) : this.push(state, title, url);
  };
}

// A link to the page that is open gives Streamlit its choices, and leaves the address as it was. Links
// in a container "show-PLACE-..." also bring a heading (its anchor) or a chart (its key) into view.
const PLACE = /st-key-show-([a-z]+(?:-[a-z]+)*)-\d/, TRIES = 600; // frames that a page may take
let wanted = 0;

function bringIntoView(name, id, tries) {
  if (id !== wanted || !tries) return;
  const place = document.querySelector(`[data-chart^="${name}"]`) ?? document.getElementById(name);
  if (place) place.scrollIntoView({ block: place.id === name ? "start" : "center" });
  else requestAnimationFrame(() => bringIntoView(name, id, tries - 1));
}

function onClick(event) {
  const link = event.target.closest?.("a[href]");
  const isNewTab = event.button || event.ctrlKey || event.metaKey || event.shiftKey;
  const [, name] = link?.closest('[class*="st-key-show-"]')?.className.match(PLACE) ?? [];
  if (!name || isNewTab) return;
  const now = new URL(location), to = new URL(link.href);
  setTimeout(() => {
    if (to.pathname === now.pathname) {
      for (const [key, value] of to.searchParams) now.searchParams.set(key, value);
      if (now.href !== location.href) history.pushState(history.state, "", now);
    }
    wanted += 1;
    if (name !== "page") bringIntoView(name, wanted, TRIES);
  });
}

function followLinks() {
  if (document.followsLinks) return; // by an earlier page
  document.followsLinks = true;
  document.addEventListener("click", onClick, true);
}

// Streamlit goes to the heading that an address names before the formulas above it have their height.
const BY_READER = ["wheel", "touchstart", "keydown", "pointerdown"], SETTLED = 10_000; // milliseconds
let arrived = "";

function stayAtPlace() {
  const content = document.querySelector("[data-testid=stMainBlockContainer]");
  if (!location.hash || location.href === arrived || !content) return;
  arrived = location.href;
  const go = () => document.getElementById(location.hash.slice(1))?.scrollIntoView();
  const observer = new ResizeObserver(go);
  const end = () => {
    observer.disconnect();
    for (const kind of BY_READER) removeEventListener(kind, end, true);
  };
  observer.observe(content);
  for (const kind of BY_READER) addEventListener(kind, end, true);
  setTimeout(end, SETTLED);
}

export default ({ parentElement }) => {
  keepHistoryShort();
  followLinks();
  stayAtPlace();
  if (!parentElement.querySelector("button")) create(parentElement);
};
