/* The table of all runs: a click on a column's name sorts, the field searches. Then the plots. */

const table = document.getElementById("runs");
const rows = [...table.tBodies[0].rows];

/* Numbers as numbers; failed runs last both ways, and so are missing values. */
function sortBy(column, descending) {
  const keys = new Map(
    rows.map((row, index) => {
      const text = row.cells[column].textContent;
      const number = Number(text.replaceAll(",", ""));
      const group = (row.classList.contains("failed") ? 2 : 0) + (text === "-" ? 1 : 0);
      return [row, { group, index, value: Number.isNaN(number) ? text : number }];
    }),
  );
  const compared = (x, y) =>
    typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y), "en");
  const order = [...rows].sort((a, b) => {
    const [x, y] = [keys.get(a), keys.get(b)];
    const sign = descending ? -1 : 1;
    return x.group - y.group || (x.group % 2 ? 0 : sign * compared(x.value, y.value)) || x.index - y.index;
  });
  table.tBodies[0].append(...order);
}

for (const head of table.tHead.rows[0].cells) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = head.textContent;
  head.replaceChildren(button);
  button.addEventListener("click", () => {
    const descending = head.getAttribute("aria-sort") === "ascending";
    for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", descending ? "descending" : "ascending");
    sortBy(head.cellIndex, descending);
  });
}

const search = document.getElementById("search");
search.addEventListener("input", () => {
  const words = search.value.toLowerCase().split(/\s+/);
  for (const row of rows) row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word));
  const count = rows.filter((row) => !row.hidden).length;
  document.getElementById("search-count").textContent = `${count} of ${rows.length} runs.`;
});

for (const part of document.querySelectorAll(".script")) part.hidden = false;
for (const script of document.querySelectorAll("script.plot")) {
  const { data, layout } = JSON.parse(script.textContent);
  Plotly.newPlot(script.previousElementSibling, data, layout, { responsive: true, displayModeBar: false });
}
