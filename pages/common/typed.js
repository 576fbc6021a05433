// Tells Python what stands in the fields of a form before it is submitted; typed.py says why.
const states = new WeakMap(); // Streamlit's element -> what belongs to its form

const valueOf = (node) => {
  const box = node.querySelector("input[type=checkbox]");
  if (box) return box.checked;
  const radios = [...node.querySelectorAll("input[type=radio]")];
  if (radios.length) return radios.findIndex((one) => one.checked);
  return node.querySelector("input")?.value ?? null;
};

function tell(state) {
  const form = document.querySelector(`.st-key-${CSS.escape(state.data.form)}`);
  if (!form) return;
  const found = {};
  for (const key of state.data.keys) {
    const node = form.querySelector(`.st-key-${CSS.escape(key)}`);
    if (node) found[key] = valueOf(node);
  }
  const text = JSON.stringify(found);
  if (text === state.told) return;
  state.told = text;
  state.setStateValue("typed", found);
}

function listen(state) {
  const hear = (event) => {
    // A list opens outside the form: what is chosen there is heard too.
    const places = `.st-key-${CSS.escape(state.data.form)}, [role=listbox]`;
    if (!event.target.closest?.(places)) return;
    clearTimeout(state.timer);
    // A press on the button submits the form: nothing is left to tell. Enter applies a line at once.
    if (event.target.closest("[data-testid=stFormSubmitButton]")) return;
    state.timer = setTimeout(() => tell(state), event.key === "Enter" ? 0 : 350);
  };
  const names = ["input", "change", "click", "keydown", "pointerdown"];
  for (const name of names) document.addEventListener(name, hear, true);
  return () => {
    clearTimeout(state.timer);
    for (const name of names) document.removeEventListener(name, hear, true);
  };
}

export default ({ data, parentElement, setStateValue }) => {
  const state = states.get(parentElement) ?? { told: "", timer: 0 };
  Object.assign(state, { data, setStateValue });
  if (!states.has(parentElement)) {
    states.set(parentElement, state);
    state.stop = listen(state);
  }
  return () => {
    state.stop();
    states.delete(parentElement);
  };
};
