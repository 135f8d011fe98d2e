// Draws the figures, keeps them as wide as the page lets them be, and reads values off them.

const data = JSON.parse(document.getElementById("postcopy-data").textContent);
const figures = JSON.parse(document.getElementById("postcopy-figures").textContent);
const EDGE_PIXELS = 8;
const NEAR_PIXELS = 6;

function bytes(count) {
  for (const [unit, size] of [["TB", 1e12], ["GB", 1e9], ["MB", 1e6], ["kB", 1e3]]) {
    if (count >= size) return `${(count / size).toPrecision(3)} ${unit}`;
  }
  return `${Math.round(count)} B`;
}

const READINGS = {
  remaining: ["still to be sent", bytes],
  bandwidth: ["bandwidth", (value) => `${bytes(value)}/s`],
  dirty_rate: ["dirty rate", (value) => `${bytes(value)}/s`],
  progress: ["guest's writes", (value) => `${Math.round(value).toLocaleString("en")}/s`],
};

function datasets(run) {
  const rows = ({ seconds, values }) => seconds.map((at, i) => ({ at, value: values[i] }));
  const series = Object.entries(run.series).map(([name, points]) => [name, rows(points)]);
  const phases = run.phases.map((span) => ({ ...span, label: figures.phases[span.phase] }));
  return { ...Object.fromEntries(series), phases, marks: run.marks };
}

// The value that holds at a moment: the last one taken until then.
function valueAt({ seconds, values }, at) {
  let [low, high] = [0, seconds.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (seconds[middle] <= at) low = middle + 1;
    else high = middle;
  }
  const beyond = low === 0 || (low === seconds.length && at - seconds[low - 1] > 0.5);
  return beyond ? null : values[low - 1];
}

function line(label, value) {
  const row = document.createElement("div");
  const name = document.createElement("span");
  name.textContent = label;
  row.append(name, value);
  return row;
}

function fillReadout(readout, run, at, near) {
  const head = document.createElement("b");
  const span = run.phases.find((phase) => phase.begin <= at && at < phase.end);
  head.textContent = `${at.toFixed(2)} s${span ? `, ${figures.phases[span.phase]}` : ""}`;
  const values = Object.entries(READINGS)
    .filter(([name]) => name in run.series)
    .map(([name, [label, words]]) => [label, words, valueAt(run.series[name], at)])
    .filter(([, , value]) => value !== null)
    .map(([label, words, value]) => line(label, words(value)));
  const marks = run.marks
    .filter((mark) => Math.abs(mark.at - at) <= near)
    .slice(0, 3)
    .map((mark) => line(mark.text, ""));
  readout.replaceChildren(head, ...values, ...marks);
}

class Figure {
  constructor(charts) {
    this.charts = charts;
    this.stage = charts.parentElement;
    this.cursor = this.stage.querySelector(".cursor");
    this.readout = this.stage.querySelector(".readout");
    this.run = data.runs[charts.dataset.run];
    this.domain = figures.domains[charts.dataset.run];
  }

  async draw() {
    const spec = { ...figures.specs[this.charts.dataset.run], datasets: datasets(this.run) };
    const { view } = await vegaEmbed(this.charts, spec, {
      mode: "vega-lite",
      renderer: "svg",
      actions: false,
      defaultStyle: false,
      tooltip: false,
      ast: true, // an interpreter instead of eval, which the page's own policy forbids
    });
    this.view = view;
    await this.fit();
    new ResizeObserver(() => this.fit()).observe(this.charts);
    this.stage.addEventListener("pointermove", (event) => this.point(event));
    this.stage.addEventListener("pointerleave", () => this.hide());
    this.stage.addEventListener("blur", () => this.hide());
    this.stage.addEventListener("keydown", (event) => this.step(event));
  }

  async fit() {
    const width = Math.max(120, Math.floor(this.charts.clientWidth - figures.axis - EDGE_PIXELS));
    if (width === this.width) return;
    this.width = width;
    this.hide();
    await this.view.width(width).runAsync();
    this.charts.dataset.drawn = width;
  }

  // Where the time axis lies within the stage, in pixels.
  plot() {
    const stage = this.stage.getBoundingClientRect();
    const boxes = [...this.charts.querySelectorAll(".role-scope > g > .background")].map((box) =>
      box.getBoundingClientRect(),
    );
    const [first, last] = [boxes[0], boxes[boxes.length - 1]];
    return {
      left: first.left - stage.left,
      width: first.width,
      top: first.top - stage.top,
      bottom: last.bottom - stage.top,
      stage,
    };
  }

  point(event) {
    const plot = this.plot();
    const share = (event.clientX - plot.stage.left - plot.left) / plot.width;
    if (share < 0 || share > 1) this.hide();
    else this.show(share, plot);
  }

  step(event) {
    const steps = { ArrowLeft: -0.01, ArrowRight: 0.01, Home: -1, End: 1 };
    if (event.key === "Escape") this.hide();
    if (!(event.key in steps)) return;
    event.preventDefault();
    this.show(Math.min(1, Math.max(0, (this.share ?? 0) + steps[event.key])), this.plot());
  }

  show(share, plot) {
    this.share = share;
    const [begin, end] = this.domain;
    const x = plot.left + share * plot.width;
    const near = (NEAR_PIXELS * (end - begin)) / plot.width;
    fillReadout(this.readout, this.run, begin + share * (end - begin), near);
    this.cursor.hidden = this.readout.hidden = false;
    Object.assign(this.cursor.style, {
      left: `${x}px`,
      top: `${plot.top}px`,
      height: `${plot.bottom - plot.top}px`,
    });
    const besides = x + 14 + this.readout.offsetWidth <= plot.stage.width;
    const left = besides ? x + 14 : Math.max(0, x - 14 - this.readout.offsetWidth);
    Object.assign(this.readout.style, { left: `${left}px`, top: `${plot.top + 26}px` });
  }

  hide() {
    this.cursor.hidden = this.readout.hidden = true;
  }
}

await Promise.all([...document.querySelectorAll(".charts")].map((charts) => new Figure(charts).draw()));
document.documentElement.dataset.drawn = "all";
