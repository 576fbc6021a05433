// Plotly does not wrap: a title is broken for the chart's width. Returns what its lines add to the height.
function fitTitle(node, { title, margin }, width) {
  if (!margin || !title?.text) return 0;
  const pen = document.createElement("canvas").getContext("2d");
  pen.font = `600 16px ${getComputedStyle(node).fontFamily}`;
  const lines = [];
  for (const word of title.text.split(/<br>| /)) {
    const longer = `${lines.at(-1)} ${word}`;
    if (lines.length && pen.measureText(longer).width < width) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  const room = 21 * (lines.length - title.text.split("<br>").length);
  margin.t += room;
  title.text = lines.join("<br>");
  title.pad = { t: lines.length > 1 ? 16 : 5 }; // as in bare_figure of rdh/charts/palette.py
  return room;
}
