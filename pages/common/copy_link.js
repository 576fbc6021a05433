// Copies the page's address; copy_link.py says why. Without a clipboard the address is shown, ready to be copied.
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
      said.textContent = `Copied: ${location.href}`;
    } catch {
      said.textContent = "The browser gave no clipboard; copy this:";
      Object.assign(field, { hidden: false, value: location.href }).select();
    }
  };
  button.onblur = () => field.hidden && (said.textContent = "");
}

export default ({ parentElement }) => {
  if (!parentElement.querySelector("button")) create(parentElement);
};
