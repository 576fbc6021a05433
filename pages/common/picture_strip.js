// A row of pictures that can be pressed; picture_strip.py sends the data and says why.
const strips = new WeakMap(); // Streamlit's element -> the row in it

function cell(strip, data) {
  const button = document.createElement("button");
  button.type = "button";
  button.append(document.createElement("img"), document.createElement("span"), document.createElement("p"));
  button.addEventListener("click", () => strip.send("picked", { id: data.id, at: Date.now() + Math.random() }));
  return button;
}

function fill(button, { id, src, alt, lines, mark, chosen }) {
  const [image, blank, text] = button.children;
  const look = ["cell", mark, chosen && "chosen"].filter(Boolean).join(" ");
  if (button.className !== look) button.className = look;
  button.dataset.item = id;
  button.title = alt;
  button.setAttribute("aria-label", alt);
  button.setAttribute("aria-pressed", String(Boolean(chosen)));
  image.alt = "";
  image.hidden = !src;
  blank.hidden = Boolean(src);
  if (src && image.src !== src) image.src = src;
  blank.textContent = src ? "" : `item ${id}`;
  text.replaceChildren(...lines.map((line) => Object.assign(document.createElement("span"), { textContent: line })));
}

export default function ({ data, parentElement, setTriggerValue }) {
  let strip = strips.get(parentElement);
  if (!strip) {
    strip = { node: document.createElement("div"), cells: new Map() };
    strip.node.className = "strip";
    strip.node.setAttribute("role", "group");
    strips.set(parentElement, strip);
    parentElement.append(strip.node);
  }
  strip.send = setTriggerValue;
  strip.node.setAttribute("aria-label", data.label);
  const focused = strip.node.getRootNode().activeElement;
  const kept = new Map();
  for (const one of data.cells) {
    const button = strip.cells.get(one.id) ?? cell(strip, one);
    fill(button, one);
    kept.set(one.id, button);
  }
  strip.cells = kept;
  const order = [...kept.values()];
  if (order.some((button, place) => strip.node.children[place] !== button) || strip.node.children.length !== order.length) {
    strip.node.replaceChildren(...order);
    if (order.includes(focused)) focused.focus({ preventScroll: true });
  }
  strip.node.dataset.items = order.map((button) => button.dataset.item).join(" ");
}
