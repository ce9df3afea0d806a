/* The table of all runs: sorted by a click on a column's name, searched, runs chosen from it. */

const sweep = JSON.parse(document.getElementById("sweep-data").textContent);
const columnNames = Object.keys(sweep.columns);
const runNames = sweep.columns.run;
const MOST_CHOSEN = 8;
const chosen = new Set(runNames.map((_, index) => index).filter((index) => hasValue(index)).slice(0, 3));

const runsTable = document.getElementById("runs");
const runsBody = runsTable.tBodies[0];
const rowOf = [...runsBody.rows]; // By place in the data, however the table is sorted.

function hasValue(index) {
  return sweep.columns.best_value[index] !== null;
}

/* Failed runs come last both ways, and so does what is missing. */
function sortBy(name, descending) {
  const values = sweep.columns[name];
  const group = (index) =>
    (sweep.columns.state[index] === "failed" ? 2 : 0) + (values[index] === null ? 1 : 0);
  const compared = (a, b) => {
    const [x, y] = [values[a], values[b]];
    if (x === null || y === null) return 0;
    const isNumeric = typeof x === "number" && typeof y === "number";
    return (isNumeric ? x - y : String(x).localeCompare(String(y), "en")) * (descending ? -1 : 1);
  };
  const order = rowOf.map((_, index) => index);
  order.sort((a, b) => group(a) - group(b) || compared(a, b) || a - b);
  runsBody.append(...order.map((index) => rowOf[index]));
}

function makeSortable(head, name) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = head.textContent;
  head.replaceChildren(button);
  button.addEventListener("click", () => {
    const descending = head.getAttribute("aria-sort") === "ascending";
    for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", descending ? "descending" : "ascending");
    sortBy(name, descending);
  });
}

function makeChoosable(row, index) {
  const box = document.createElement("input");
  box.type = "checkbox";
  box.checked = chosen.has(index);
  box.disabled = !hasValue(index);
  box.setAttribute("aria-label", `Compare run ${runNames[index]}`);
  box.addEventListener("change", () => {
    if (box.checked && chosen.size >= MOST_CHOSEN) box.checked = false;
    else if (box.checked) chosen.add(index);
    else chosen.delete(index);
    row.classList.toggle("chosen", box.checked);
    drawComparison();
  });
  row.classList.toggle("chosen", box.checked);
  row.classList.toggle("failed", sweep.columns.state[index] === "failed");
  row.insertCell(0).append(box);
}

function search(text) {
  const words = text.toLowerCase().split(/\s+/);
  let count = 0;
  for (const row of rowOf) {
    const content = row.textContent.toLowerCase();
    row.hidden = !words.every((word) => content.includes(word));
    count += row.hidden ? 0 : 1;
  }
  document.getElementById("found").textContent = text ? `${count} of ${rowOf.length} runs.` : "";
}

for (const part of document.querySelectorAll(".script")) part.hidden = false;
[...runsTable.tHead.rows[0].cells].forEach((head, place) => makeSortable(head, columnNames[place]));
const compareHead = document.createElement("th");
compareHead.scope = "col";
compareHead.textContent = "compare";
runsTable.tHead.rows[0].prepend(compareHead);
rowOf.forEach(makeChoosable);
const searchField = document.getElementById("search");
searchField.addEventListener("input", () => search(searchField.value.trim()));
