/* The chosen runs side by side: what differs in their hyperparameters, and their curves. */

const COLOURS = ["#0b4f8a", "#d97f0a", "#1a7f37", "#b3261e", "#7a4fb0", "#00838f", "#8a6d00", "#6b6b6b"];
const WIDE_LOSS = 8; /* A loss that spans more is drawn on a log axis. */
const LOOK = {
  font: { family: "system-ui, 'DejaVu Sans', sans-serif", size: 12, color: "#1f2328" },
  paper_bgcolor: "#fff",
  plot_bgcolor: "#fff",
};
const BEHAVIOUR = { responsive: true, displaylogo: false, displayModeBar: false };

/* Plotly reads some HTML in its texts; ours are plain. */
function plain(text) {
  return String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}

function shown(value) {
  if (value === null) return "-";
  if (typeof value !== "number") return String(value);
  return Number.isInteger(value) ? value.toLocaleString("en") : String(+value.toPrecision(4));
}

function fillRow(row, texts, tag) {
  row.append(
    ...texts.map((text) => {
      const cell = document.createElement(tag);
      cell.textContent = text;
      return cell;
    }),
  );
}

function drawDifferences(indices) {
  const table = document.getElementById("differences");
  table.tHead.replaceChildren();
  table.tBodies[0].replaceChildren();
  if (!indices.length) return;
  fillRow(table.tHead.insertRow(), ["run", ...indices.map((index) => runNames[index])], "th");
  const differs = sweep.varied.filter((name) => new Set(indices.map((index) => sweep.columns[name][index])).size > 1);
  for (const name of ["best_value", "best_epoch", "parameters", ...differs]) {
    const values = indices.map((index) => shown(sweep.columns[name][index]));
    fillRow(table.tBodies[0].insertRow(), [name.replaceAll("_", sweep.varied.includes(name) ? "_" : " "), ...values], "td");
  }
}

function drawCurves(indices, place, container) {
  const series = sweep.series[place];
  const lines = indices.map((index, order) => ({
    type: "scatter",
    mode: "lines+markers",
    name: `run ${runNames[index]}`,
    x: sweep.curves[index].epochs,
    y: sweep.curves[index].values[place],
    line: { color: COLOURS[order % COLOURS.length], width: 2 },
    marker: { size: 4 },
  }));
  const values = lines.flatMap((line) => line.y).filter((value) => value !== null);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const last = Math.max(...lines.flatMap((line) => line.x));
  const isLog = series.name.endsWith("loss") && low > 0 && high > WIDE_LOSS * low;
  Plotly.react(
    container,
    lines,
    {
      ...LOOK,
      margin: { l: 48, r: 8, t: 12, b: 72 },
      xaxis: { title: { text: "epoch" }, dtick: last < 10 ? 1 : undefined, gridcolor: "#eef0f2" },
      yaxis: { type: isLog ? "log" : "linear", gridcolor: "#eef0f2" },
      legend: { orientation: "h", y: -0.28 },
      showlegend: true,
    },
    BEHAVIOUR,
  );
}

function drawComparison() {
  const indices = [...chosen].sort((a, b) => a - b);
  const drawn = indices.filter((index) => sweep.curves[index] !== null);
  const without = indices.filter((index) => sweep.curves[index] === null).map((index) => runNames[index]);
  const kept = sweep.curves.filter((curve) => curve !== null).length;
  const notes = [indices.length ? "" : "Choose runs in the table above."];
  if (without.length) notes.push(`No curve of run ${without.join(", ")}: this page holds those of ${kept} runs, the best ones.`);
  if (indices.length >= MOST_CHOSEN) notes.push(`No more than ${MOST_CHOSEN} at once.`);
  document.getElementById("compare-note").textContent = notes.filter(Boolean).join(" ");
  drawDifferences(indices);
  document.getElementById("compare-plots").hidden = !drawn.length;
  if (drawn.length) curveContainers.forEach((container, place) => drawCurves(drawn, place, container));
}

const curveContainers = sweep.series.map((series) => {
  const [part, title, container] = ["div", "p", "div"].map((tag) => document.createElement(tag));
  title.textContent = series.title;
  container.className = "curves";
  container.setAttribute("role", "img");
  container.setAttribute("aria-label", `${series.title} of the chosen runs over their epochs`);
  part.append(title, container);
  document.getElementById("compare-plots").append(part);
  return container;
});
drawComparison();
