// The live view of a tuning run. Text only ever becomes text nodes. uPlot stands above this file.

const COLUMNS = ["step", "loss", "held", "rate", "norm", "speed", "memory", "distance", "entropy", "share", "right", "before"];
const BLUE = "#3b7dd8";
const ORANGE = "#d0702a";
const GREEN = "#2e8b57";
const VIOLET = "#a259d9";
const KEEP = 0.9; // of the moving average at each step
const PATIENCE_MS = 2000;
const CHARTS = [
  {
    title: "Loss (nats per token)",
    lines: [
      { label: "train", of: "loss", stroke: BLUE + "99", width: 1 },
      { label: "smoothed", of: "smoothed", stroke: BLUE, width: 2 },
      { label: "held out", of: "held", stroke: ORANGE, width: 2, dash: [6, 3] },
    ],
  },
  {
    title: "Suite (share of right answers)",
    lines: [
      { label: "now", of: "right", stroke: BLUE, width: 2 },
      { label: "before the run", of: "before", stroke: ORANGE, width: 2, dash: [6, 3] },
    ],
  },
  { title: "Learning rate", lines: [{ label: "rate", of: "rate", stroke: GREEN, width: 2 }] },
  { title: "Gradient norm", lines: [{ label: "norm", of: "norm", stroke: VIOLET, width: 2 }] },
  {
    title: "Routing drift",
    lines: [
      { label: "distance from base", of: "distance", stroke: BLUE, width: 2 },
      { label: "share of trained experts", of: "share", stroke: ORANGE, width: 2, dash: [6, 3] },
    ],
  },
  {
    title: "Routing entropy (nats)",
    lines: [{ label: "entropy", of: "entropy", stroke: GREEN, width: 2 }],
  },
];
const PALETTE = [BLUE, ORANGE, GREEN, VIOLET, "#c8503c", "#5b6b7b", "#b8860b", "#1f9a9a"];
const RANK_COLUMNS = ["loss", "speed", "memory", "load"]; // behind a step's own, for each rank
const RANK_CHARTS = [
  ["loss", "Loss by rank (nats per own token)"],
  ["speed", "Tokens/s by rank, while it works"],
  ["memory", "Memory by rank (MB)"],
  ["load", "Busiest expert by rank (share of routes)"],
];
const STATES = {
  running: "Running",
  paused: "Paused",
  stopping: "Stopping after this step",
  done: "Last step done",
};

function make(tag, className, text) {
  const node = document.createElement(tag);
  node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

function short(value, digits = 4) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return "infinite";
  if (value !== 0 && Math.abs(value) < 0.001) return value.toExponential(2).replace(/\.?0+e/, "e");
  return Number(value.toPrecision(digits)).toLocaleString("en", { maximumFractionDigits: digits });
}

// an axis's numbers, with as many digits as tell them apart
function apart(values) {
  let texts = [];
  for (let digits = 4; digits < 8; digits++) {
    texts = values.map((value) => (value === null ? "" : short(value, digits)));
    if (new Set(texts).size === texts.length) break;
  }
  return texts;
}

function memory(bytes) {
  return bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${Math.round(bytes / 1e6)} MB`;
}

function duration(seconds) {
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
}

const columnOf = (name, rank) => `${name} of rank ${rank}`;

function columnNames(numRanks) {
  const ranks = [...Array(numRanks).keys()];
  return [...COLUMNS, ...ranks.flatMap((rank) => RANK_COLUMNS.map((name) => columnOf(name, rank)))];
}

// A chart of each figure, a line for each rank.
function rankCharts(numRanks) {
  const ranks = [...Array(numRanks).keys()];
  return RANK_CHARTS.map(([name, title]) => ({
    title,
    lines: ranks.map((rank) => ({
      label: `rank ${rank}`,
      of: columnOf(name, rank),
      stroke: PALETTE[rank % PALETTE.length],
      width: 2,
    })),
  }));
}

// The steps so far, by column. What is not a number is null, as uPlot wants it.
class History {
  constructor(numRanks) {
    this.names = columnNames(numRanks);
    this.average = 0;
    this.weight = 0;
    this.held = null;
    this.columns = { smoothed: [] };
    for (const name of this.names) this.columns[name] = [];
  }
  get length() {
    return this.columns.step.length;
  }
  last(name) {
    return this.columns[name].at(-1);
  }
  // Rows may overlap with what is known; false after a gap.
  take(first, view) {
    if (first > this.length) return false;
    const bytes = view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength);
    const rows = new Float64Array(bytes);
    const width = this.names.length;
    for (let at = (this.length - first) * width; at < rows.length; at += width) {
      this.names.forEach((name, i) => {
        this.columns[name].push(Number.isFinite(rows[at + i]) ? rows[at + i] : null);
      });
      this.smooth();
    }
    return true;
  }
  smooth() {
    const loss = this.last("loss");
    if (this.last("held") !== null) this.held = this.last("held");
    if (loss !== null) {
      this.average = KEEP * this.average + (1 - KEEP) * loss;
      this.weight = KEEP * this.weight + (1 - KEEP);
    }
    this.columns.smoothed.push(loss === null ? null : this.average / this.weight);
  }
}

// One plot; hidden until one of its lines has a value.
class Chart {
  constructor(parent, { title, lines }) {
    this.lines = lines;
    this.known = 0;
    this.box = make("figure", "gptoss-chart");
    this.place = make("div", "");
    this.box.append(make("figcaption", "", title), this.place);
    this.box.hidden = true;
    parent.append(this.box);
  }
  draw(columns) {
    const any = ({ of }) => columns[of].slice(this.known).some((value) => value !== null);
    if (this.box.hidden && !this.lines.some(any)) return;
    this.known = columns.step.length;
    this.box.hidden = false;
    const data = [columns.step, ...this.lines.map(({ of }) => columns[of])];
    if (this.plot) this.plot.setData(data);
    else this.plot = new uPlot(this.options(), data, this.place);
  }
  options() {
    const colour = () =>
      getComputedStyle(this.box).getPropertyValue("--jp-ui-font-color2").trim() || "#7b7b7b";
    const axis = {
      stroke: colour,
      font: "11px system-ui, sans-serif",
      grid: { stroke: "#80808033", width: 1 },
      ticks: { stroke: "#80808055", width: 1, size: 4 },
    };
    const numbers = (_, values) => apart(values);
    const series = this.lines.map(({ label, stroke, width, dash }) => ({
      label,
      stroke,
      width,
      dash,
      spanGaps: true,
      value: (_, value) => (value === null || value === undefined ? "" : short(value)),
      points: { show: dash ? undefined : false },
    }));
    return {
      ...this.size(),
      scales: { x: { time: false } },
      cursor: { y: false, drag: { x: false, y: false } },
      axes: [
        { ...axis, size: 28, space: 45, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 1e5] },
        { ...axis, size: 52, space: 28, values: numbers },
      ],
      series: [{ label: "step", value: (_, step) => step ?? "" }, ...series],
    };
  }
  size() {
    return { width: Math.max(140, this.place.clientWidth), height: 150 };
  }
  fit() {
    if (this.plot && this.place.clientWidth && this.plot.width !== this.place.clientWidth)
      this.plot.setSize(this.size());
  }
}

// Pause, Stop and the learning rate.
class Controls {
  constructor(parent, { learning_rate, reach }, send) {
    this.base = learning_rate;
    this.send = send;
    this.box = make("div", "gptoss-controls");
    this.pause = make("button", "gptoss-pause", "Pause");
    this.stop = make("button", "gptoss-stop", "Stop");
    this.slider = make("input", "gptoss-rate");
    this.shown = make("span", "gptoss-rate-shown", "");
    this.pause.type = this.stop.type = "button";
    this.pause.title = "Hold after this step, or go on";
    this.stop.title = "End after this step; what was learned is kept";
    const span = Math.log10(reach);
    Object.assign(this.slider, { type: "range", min: -span, max: span, step: 0.02, value: 0 });
    const label = make("label", "gptoss-rate-label");
    label.append("Peak learning rate", this.slider, this.shown);
    this.box.append(this.pause, this.stop, label);
    for (const control of [this.pause, this.stop, this.slider])
      control.dataset.lmSuppressShortcuts = "true"; // arrows and Space are for the controls here
    parent.append(this.box);
    this.pause.onclick = () => send({ op: this.paused ? "resume" : "pause" });
    this.stop.onclick = () => {
      send({ op: "stop" });
      this.show({ state: "stopping" });
    };
    this.slider.oninput = () => this.slide();
    this.say(learning_rate);
  }
  slide() {
    const rate = Number((this.base * 10 ** this.slider.valueAsNumber).toPrecision(4));
    this.say(rate);
    if (this.pending === undefined)
      setTimeout(() => {
        this.send({ op: "rate", rate: this.pending });
        this.pending = undefined;
      }, 50);
    this.pending = rate;
  }
  say(rate) {
    const times = (rate / this.base).toPrecision(2);
    this.shown.textContent = `${rate.toExponential(1)} (×${Number(times)})`;
    this.slider.setAttribute("aria-valuetext", `${rate.toExponential(1)}, ${times} times`);
  }
  show({ state, rate }) {
    this.paused = state === "paused";
    this.pause.textContent = this.paused ? "Resume" : "Pause";
    const over = state === "stopping" || state === "done";
    for (const control of [this.pause, this.stop, this.slider]) control.disabled = over;
    if (rate && this.pending === undefined && document.activeElement !== this.slider) {
      this.slider.value = Math.log10(rate / this.base);
      this.say(rate);
    }
  }
}

class Numbers {
  constructor(parent, numSteps) {
    this.numSteps = numSteps;
    this.bar = make("progress", "gptoss-steps");
    this.bar.setAttribute("aria-label", "Steps done");
    this.bar.max = Math.max(1, numSteps);
    this.bar.value = 0;
    this.list = make("dl", "gptoss-numbers");
    this.cells = {};
    parent.append(this.bar, this.list);
  }
  set(name, value) {
    if (!this.cells[name]) {
      const box = make("div", "");
      this.cells[name] = make("dd", `gptoss-n-${name.replace(/\W/g, "-")}`);
      box.append(make("dt", "", name), this.cells[name]);
      this.list.append(box);
    }
    if (this.cells[name].textContent !== value) this.cells[name].textContent = value;
  }
  show(history, left) {
    const step = history.last("step") ?? 0;
    const of = this.numSteps.toLocaleString("en");
    this.bar.value = step;
    this.set("step", `${step.toLocaleString("en")} of ${of}`);
    if (!history.length) return;
    this.set("loss", short(history.last("loss")));
    this.set("held-out loss", short(history.held));
    this.set("learning rate", short(history.last("rate")));
    this.set("gradient norm", short(history.last("norm")));
    this.set("tokens/s", Math.round(history.last("speed") ?? 0).toLocaleString("en"));
    this.set("memory", memory(history.last("memory") ?? 0));
    this.set("time left", left ?? "–");
  }
}

function heading(parent, { title, facts }) {
  const head = make("div", "gptoss-head");
  const state = make("span", "gptoss-state", "Starting");
  state.setAttribute("role", "status");
  head.append(make("strong", "", title), state);
  const line = facts.map(([label, value]) => `${label}: ${value}`).join(" · ");
  parent.append(head, make("div", "gptoss-facts", line));
  return state;
}

// Redraws on a change of theme, and fits the plots to their room.
function follow(root, charts) {
  const room = new ResizeObserver(() => charts.forEach((chart) => chart.fit()));
  const theme = new MutationObserver(() => charts.forEach((chart) => chart.plot?.redraw(false)));
  room.observe(root);
  theme.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-name"] });
  return () => {
    room.disconnect();
    theme.disconnect();
    charts.forEach((chart) => chart.plot?.destroy());
  };
}

function render({ model, el }) {
  const setup = model.get("setup");
  const root = make("section", "gptoss-tuning");
  root.setAttribute("aria-label", setup.title);
  const status = heading(root, setup);
  const numbers = new Numbers(root, setup.num_steps);
  let waiting;
  const unheard = () => {
    status.textContent = "No answer yet. If nothing happens, use ■ in the toolbar";
  };
  const send = (message) => {
    clearTimeout(waiting);
    waiting = setTimeout(unheard, PATIENCE_MS);
    model.send(message);
  };
  const controls = new Controls(root, setup, send);
  const plots = make("div", "gptoss-plots");
  root.append(plots);
  el.append(root);
  const history = new History(setup.num_ranks);
  const charts = [...CHARTS, ...rankCharts(setup.num_ranks)].map((chart) => new Chart(plots, chart));
  const forget = follow(root, charts);
  let drawing = 0;
  let latest;
  let asked = -Infinity;
  const draw = () => {
    drawing = 0;
    numbers.show(history, latest.left);
    for (const chart of charts) chart.draw(history.columns);
  };
  const ask = () => {
    if (performance.now() - asked < 500) return;
    asked = performance.now();
    model.send({ op: "ready" });
  };
  const onMessage = (message, buffers) => {
    if (message.first === undefined) return;
    clearTimeout(waiting);
    latest = message;
    if (!history.take(message.first, buffers[0])) ask();
    controls.show(message);
    const state = message.state === "stopping" && message.note ? "Stopped" : STATES[message.state];
    const words = [state, duration(message.seconds), message.note];
    status.textContent = words.filter(Boolean).join(" · ");
    drawing ||= requestAnimationFrame(draw);
  };
  model.on("msg:custom", onMessage);
  ask();
  return () => {
    cancelAnimationFrame(drawing);
    clearTimeout(waiting);
    model.off("msg:custom", onMessage);
    forget();
  };
}

export default { render };
