/* The table of all runs, its filters, and the two plots beside it. */

const SHOWN = 5; // Runs whose curves are drawn until others are ticked.
const COLOURS = ["#0b4f8a", "#c77700", "#1a7f37", "#b3261e", "#7a5195", "#00818a", "#8a6d00", "#59636e"];
const byId = (id) => document.getElementById(id);
const stored = (id) => JSON.parse(byId(id)?.textContent ?? "null");
for (const part of document.querySelectorAll(".script")) part.hidden = false;

/* The table without scripts is the only copy of the data: text, until it is parsed here. */
const source = new DOMParser().parseFromString(byId("runs-source").textContent, "text/html");
const names = [...source.querySelectorAll("th")].map((cell) => cell.textContent);
const runs = [...source.querySelectorAll("tbody tr")].map((row) => {
  const texts = [...row.cells].map((cell) => cell.textContent);
  const values = texts.map((text, column) => {
    const number = Number(text.replaceAll(",", ""));
    if (text === "-") return null;
    return column === 0 || Number.isNaN(number) ? text : number;
  });
  return { ...values, id: texts[0], texts, kind: row.className };
});

/* Whether a value meets `64`, `!=64`, `<0.01`, `1..5` or a part of its text. */
function meets(condition, value, text) {
  const [, operator = "", operand] = condition.trim().match(/^(<=|>=|!=|<|>|=)?\s*(.*)$/s);
  const [low, high] = operand.split("..", 2).map(Number);
  if (operand.includes("..") && !Number.isNaN(low + high)) return value !== null && low <= value && value <= high;
  const number = Number(operand);
  const isNumber = typeof value === "number" && operand !== "" && !Number.isNaN(number);
  const isEqual = isNumber ? value === number : text.toLowerCase() === operand.toLowerCase();
  if (operator === "=") return isEqual;
  if (operator === "!=") return !isEqual;
  if (operator) return isNumber && { "<": value < number, "<=": value <= number, ">": value > number, ">=": value >= number }[operator];
  return isNumber ? isEqual : text.toLowerCase().includes(operand.toLowerCase());
}

/* Failed runs are last both ways, and so are missing values. */
function compared(a, b, rowA, rowB, column, direction) {
  const group = (row, value) => (row.getData().kind === "failed" ? 2 : 0) + (value === null ? 1 : 0);
  const last = group(rowA, a) - group(rowB, b);
  if (last) return direction === "asc" ? last : -last;
  return typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en");
}

function columnOf(name, index) {
  return {
    title: name,
    field: String(index),
    frozen: index === 0,
    sorter: compared,
    hozAlign: runs.some((run) => typeof run[index] === "number") ? "right" : "left",
    titleFormatter: () => {
      const button = document.createElement("button"); // The keyboard reaches it.
      button.type = "button";
      button.textContent = name;
      return button;
    },
    formatter: (cell) => document.createTextNode(cell.getData().texts[index]),
    headerFilter: "input",
    headerFilterParams: { elementAttributes: { "aria-label": `filter ${name}` } },
    headerFilterFunc: (condition, value, row) => meets(condition, value, row.texts[index]),
  };
}

const table = new Tabulator("#runs", {
  data: runs,
  height: Math.min(480, 80 + 32 * runs.length), // Pixels; less for a few runs.
  layout: "fitData",
  rowHeader: { formatter: "rowSelection", headerSort: false, width: 34, frozen: true, print: false, download: false },
  columns: names.map(columnOf),
  selectableRows: COLOURS.length,
  selectableRowsPersistence: true,
  printAsHtml: true,
  printStyled: false,
  printRowRange: "active",
  rowFormatter: (row) => row.getElement().classList.add(...[row.getData().kind].filter(Boolean)),
});

/* The search field: words, and conditions such as `d_model=64 learning_rate<0.01 seconds=1..5`. */
const keys = names.map((name) => name.toLowerCase().replaceAll(" ", "_"));
let brushed = null; // The runs that the axes' selections leave.
function filter() {
  const unknown = [];
  const conditions = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean).map((word) => {
    const [, key, condition] = word.match(/^([^<>=!]+)([<>=!].+)$/) ?? [];
    const column = keys.indexOf(key);
    if (key && column < 0) unknown.push(key);
    return column < 0 ? ({ texts }) => texts.some((text) => text.toLowerCase().includes(word))
      : (run) => meets(condition.replace(/^=(?=.*\.\.)/, ""), run[column], run.texts[column]);
  });
  byId("search-unknown").textContent = unknown.length ? `No column is called ${unknown.join(", ")}.` : "";
  table.setFilter((run) => (!brushed || brushed.has(run.id)) && conditions.every((condition) => condition(run)));
}
byId("search").addEventListener("input", filter);
byId("csv").addEventListener("click", () => table.download("csv", "runs.csv"));
table.on("dataFiltered", (_, rows) => { byId("search-count").textContent = `${rows.length} of ${runs.length} runs.`; });

const plots = [];
function plot(id, option) {
  const chart = echarts.init(byId(id));
  chart.setOption({ animation: false, textStyle: { fontFamily: "inherit" }, color: COLOURS, ...option });
  plots.push(chart);
  return chart;
}
window.addEventListener("resize", () => plots.forEach((chart) => chart.resize()));

/* Parallel coordinates: what their axes select filters the table. */
const parallel = stored("parallel-data");
if (parallel) {
  const last = parallel.axes.length - 1;
  const metric = parallel.rows.map((row) => row[last]);
  const colours = ["#e0a050", "#a9b3bd", "#0b4f8a"];
  const axis = { scale: true, boundaryGap: false, nameTextStyle: { fontWeight: 600 }, axisLabel: { textBorderColor: "#fff", textBorderWidth: 3 } };
  const chart = plot("parallel", {
    parallel: { left: 60, right: 70, top: 44, bottom: 24 },
    parallelAxis: parallel.axes.map((each, dim) => ({ ...axis, ...each, dim })),
    visualMap: { show: false, dimension: last, min: Math.min(...metric), max: Math.max(...metric),
      inRange: { color: parallel.maximize ? colours : colours.reverse() } },
    tooltip: { formatter: ({ dataIndex }) => `run ${parallel.runs[dataIndex]}: ${metric[dataIndex]}` },
    series: { type: "parallel", data: parallel.rows, lineStyle: { width: 1.2, opacity: 0.6 }, emphasis: { lineStyle: { width: 4, opacity: 1 } } },
  });
  chart.on("axisareaselected", () => {
    const series = chart.getModel().getSeries()[0];
    const active = series.getRawIndicesByActiveState("active");
    const isBrushed = series.getRawIndicesByActiveState("inactive").length > 0;
    brushed = isBrushed ? new Set(active.map((index) => parallel.runs[index])) : null;
    filter();
  });
}

/* Curves of one metric, of the ticked runs or else of the first in the table. */
const curves = stored("curves-data");
if (curves) {
  const chart = plot("curves", {});
  for (const metric of Object.keys(curves.metrics)) byId("metric").add(new Option(metric));
  const spans = new Map(curves.runs.map(([run, begin, end]) => [run, [begin, end]]));
  /* An exponential moving average without the pull of its start; gaps stay. */
  const smooth = (values, weight) => {
    let mean = 0, sum = 0;
    return values.map((value) => {
      if (value === null) return null;
      [mean, sum] = [weight * mean + (1 - weight) * value, weight * sum + 1 - weight];
      return mean / sum;
    });
  };
  const draw = () => {
    const ticked = table.getSelectedData();
    const shown = ticked.length ? ticked : table.getRows("active").slice(0, SHOWN).map((row) => row.getData());
    const weight = Number(byId("smoothing").value);
    const series = shown.filter(({ id }) => spans.has(id)).flatMap(({ id }, index) => {
      const [begin, end] = spans.get(id);
      return Object.entries(curves.metrics[byId("metric").value]).map(([split, values]) => {
        const smoothed = smooth(values.slice(begin, end), weight);
        const color = COLOURS[index % COLOURS.length];
        return { type: "line", name: ["run", id, split].join(" ").trim(), connectNulls: true, symbolSize: 4, color,
          lineStyle: { type: split === "train" ? "dashed" : "solid", width: 2 },
          data: smoothed.map((value, row) => [curves.steps[begin + row], value]) };
      });
    });
    const values = series.flatMap(({ data }) => data.map(([, value]) => value)).filter((value) => value !== null);
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const isLog = byId("metric").value.endsWith("loss") && low > 0 && high > 8 * low;
    chart.setOption({
      grid: { left: 8, right: 16, top: 12, bottom: 64, containLabel: true },
      legend: { type: "scroll", bottom: 0 },
      tooltip: { trigger: "axis", valueFormatter: (value) => (value === null ? "-" : Number(value.toPrecision(4))) },
      xAxis: { type: "value", name: curves.step, nameLocation: "middle", nameGap: 26, minInterval: 1, axisPointer: { label: { precision: 0 } }, min: "dataMin", max: "dataMax" },
      yAxis: { type: isLog ? "log" : "value", scale: true },
      series,
    }, { replaceMerge: ["series"] });
  };
  for (const id of ["metric", "smoothing"]) byId(id).addEventListener("input", draw);
  for (const event of ["tableBuilt", "rowSelectionChanged", "dataFiltered", "dataSorted"]) {
    table.on(event, () => requestAnimationFrame(draw)); // After the table has its new order.
  }
}
