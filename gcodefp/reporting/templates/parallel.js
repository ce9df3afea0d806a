/* Parallel coordinates of all runs that have a value. */

function drawParallel() {
  const { rows, axes } = sweep.axes;
  const metric = axes[axes.length - 1];
  if (rows.length < 2 || axes.length < 2) {
    document.getElementById("parallel").hidden = true;
    return;
  }
  const left = runNames.length - rows.length;
  document.getElementById("parallel-left-out").textContent = left ? `${left} without a value are left out.` : "";
  const container = document.getElementById("parallel-plot");
  container.style.minWidth = `${axes.length * 95 + 60}px`;
  Plotly.newPlot(
    container,
    [
      {
        type: "parcoords",
        line: {
          color: metric.values,
          colorscale: [[0, "#e0a050"], [0.5, "#a9b3bd"], [1, "#0b4f8a"]],
          reversescale: sweep.goal === "minimize",
        },
        dimensions: axes.map((axis) => ({
          ...axis,
          label: plain(axis.label),
          ticktext: axis.ticktext.map(plain),
        })),
        labelfont: { size: 12 },
        tickfont: { size: 11 },
      },
    ],
    { ...LOOK, margin: { l: 60, r: 60, t: 48, b: 24 } },
    BEHAVIOUR,
  );
}

drawParallel();
