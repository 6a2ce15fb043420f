// The control panel. Text only ever becomes text nodes.
//
// `initialize` runs once a kernel's widget is known, and puts the live panel in the place of the
// static one, wherever a notebook shows it; `render` is the plain widget's view.

const PATIENCE_MS = 4000;
const HOLD_MS = 500; // what was just moved does not jump back to an older value
const SETTLE_MS = 1000;
const FRAME_PX = 40; // of a number's field: padding, border and the arrows
const RELEASES = ["pointerup", "pointercancel", "blur"];
const CONTROLS = ["input", "select", "textarea", "button"]; // the notebook's shortcuts leave them alone
let count = 0;

function make(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  if (CONTROLS.includes(tag)) node.dataset.lmSuppressShortcuts = "true";
  return node;
}

function button(text, title, act) {
  const node = make("button", "", text);
  node.type = "button";
  node.title = title;
  node.onclick = act;
  return node;
}

// Calls at most every `ms`, the last one always.
function paced(act, ms) {
  let timer;
  let latest;
  return (...given) => {
    latest = given;
    timer ??= setTimeout(() => {
      timer = undefined;
      act(...latest);
    }, ms);
  };
}

function delayed(act, ms) {
  let timer;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(act, ms);
  };
}

// A label over a control, and a line of help that screen readers tell with it.
class Labelled {
  constructor(field, tag = "div") {
    this.field = field;
    this.id = `gptoss-panel-${++count}`;
    this.box = make(tag, `gptoss-field gptoss-${field.kind}`);
    this.box.dataset.name = field.name;
    this.until = 0;
  }
  label(control) {
    const label = make("label", "gptoss-label", this.field.label);
    label.htmlFor = control.id = this.id;
    this.box.append(label);
  }
  hint(...controls) {
    if (!this.field.help) return;
    const hint = make("div", "gptoss-hint", this.field.help);
    hint.id = `${this.id}-hint`;
    for (const control of controls) control.setAttribute("aria-describedby", hint.id);
    this.box.append(hint);
  }
  sends(send) {
    const slow = paced((value) => send(this.field.name, value), 60);
    this.send = (value) => {
      this.until = performance.now() + HOLD_MS;
      slow(value);
    };
  }
  take(value, choices, state) {
    this.offer(choices[this.field.name], value);
    this.overridden(state.says?.[this.field.name]);
    if (performance.now() > this.until) this.show(value, state);
  }
  offer() {}
  // What the persona in use says instead.
  overridden(said) {
    const words = said === undefined ? "" : `the persona: ${said}`;
    this.persona ??= make("div", "gptoss-said");
    if (this.persona.textContent !== words) this.persona.textContent = words;
    if (words && !this.persona.isConnected) this.box.append(this.persona);
  }
}

function numeric(field) {
  const input = make("input", "gptoss-number-input");
  Object.assign(input, { type: "number", step: "any", placeholder: field.empty });
  if (field.low !== null) input.min = field.low;
  if (field.kind === "number") Object.assign(input, { step: 1, max: Number.MAX_SAFE_INTEGER });
  input.required = !field.empty;
  if (field.empty) input.style.minWidth = `calc(${field.empty.length}ch + ${FRAME_PX}px)`; // all its words
  return input;
}

// A number in a field; empty is null, where the field may be empty.
class NumberField extends Labelled {
  constructor(field, send) {
    super(field);
    this.sends(send);
    this.input = numeric(field);
    this.label(this.input);
    this.row = make("div", "gptoss-row");
    this.row.append(this.input);
    this.box.append(this.row);
    this.hint(this.input);
    this.input.oninput = () => this.typed();
  }
  typed() {
    const bad = !this.input.validity.valid;
    this.input.setAttribute("aria-invalid", bad);
    if (bad) this.until = performance.now() + 60_000; // until it is right, or left
    else this.send(this.input.value === "" ? null : this.input.valueAsNumber);
    this.input.onblur = () => {
      if (this.input.validity.valid) return;
      this.until = 0;
      this.send(this.last);
      this.show(this.last, this.state);
    };
  }
  show(value, state) {
    [this.last, this.state] = [value, state];
    this.input.value = value ?? "";
    this.input.setAttribute("aria-invalid", false);
  }
}

// The same with a slider beside it, which stands at what an empty field amounts to.
class SliderField extends NumberField {
  constructor(field, send) {
    super(field, send);
    this.slider = make("input", "gptoss-slide");
    const { low, high, step } = field;
    Object.assign(this.slider, { type: "range", min: low, max: high, step });
    this.slider.setAttribute("aria-label", `${field.label}, slider`);
    this.row.prepend(this.slider);
    this.slider.oninput = () => {
      this.input.value = this.slider.valueAsNumber;
      this.input.setAttribute("aria-invalid", false);
      this.send(this.slider.valueAsNumber);
      this.place(this.slider.valueAsNumber);
    };
  }
  typed() {
    super.typed();
    if (this.input.validity.valid) this.place(this.input.value === "" ? null : this.input.valueAsNumber);
  }
  show(value, state) {
    super.show(value, state);
    this.place(value);
  }
  place(value) {
    this.slider.value = value ?? (this.state?.greedy ? 0 : 1);
    this.slider.setAttribute("aria-valuetext", value ?? `${this.field.empty}: ${this.slider.value}`);
    this.box.classList.toggle("gptoss-empty", value === null);
  }
}

// One of a few: radio buttons, which arrows move through.
class ChoiceField extends Labelled {
  constructor(field, send) {
    super(field, "fieldset");
    this.sends(send);
    this.box.append(make("legend", "gptoss-label", field.label));
    const row = make("div", "gptoss-row gptoss-radios");
    this.radios = field.choices.map((choice) => {
      const radio = make("input");
      Object.assign(radio, { type: "radio", name: this.id, value: choice });
      radio.onchange = () => this.send(choice);
      const label = make("label");
      label.append(radio, choice);
      row.append(label);
      return radio;
    });
    this.box.append(row);
  }
  show(value) {
    for (const radio of this.radios) radio.checked = radio.value === value;
  }
}

class SelectField extends Labelled {
  constructor(field, send) {
    super(field);
    this.sends(send);
    this.select = make("select");
    this.label(this.select);
    this.box.append(this.select);
    this.hint(this.select);
    this.select.onchange = () => this.send(this.select.value || null);
  }
  offer(names, value) {
    const all = ["", ...(names ?? [])];
    if (value && !all.includes(value)) all.push(value);
    fill(this.select, all, this.field.empty);
  }
  show(value) {
    this.select.value = value ?? "";
  }
}

function fill(select, names, empty) {
  if (select.dataset.offered === JSON.stringify(names)) return;
  select.dataset.offered = JSON.stringify(names);
  const chosen = select.value;
  select.replaceChildren(...names.map((name) => new Option(name || empty, name)));
  if (names.includes(chosen)) select.value = chosen;
}

class TextField extends Labelled {
  constructor(field, send) {
    super(field);
    this.sends(send);
    this.area = make("textarea");
    Object.assign(this.area, { rows: 2, dir: "auto", placeholder: field.empty });
    this.label(this.area);
    this.box.append(this.area);
    this.hint(this.area);
    this.area.oninput = () => this.send(this.area.value || null);
  }
  show(value) {
    if (this.area.value !== (value ?? "")) this.area.value = value ?? "";
  }
}

class SwitchField extends Labelled {
  constructor(field, send) {
    super(field);
    this.sends(send);
    this.check = make("input");
    Object.assign(this.check, { type: "checkbox", id: this.id });
    this.check.setAttribute("role", "switch");
    const label = make("label", "gptoss-label", field.label);
    label.htmlFor = this.id;
    const row = make("div", "gptoss-row");
    row.append(this.check, label);
    this.box.append(row);
    this.hint(this.check);
    this.check.onchange = () => this.send(this.check.checked);
  }
  show(value) {
    this.check.checked = Boolean(value);
  }
}

// Each attached adapter: in use or not, and its scale.
class AdaptersField extends Labelled {
  constructor(field, send) {
    super(field, "fieldset");
    this.sends(send);
    this.rows = new Map();
    this.box.append(make("legend", "gptoss-label", field.label));
    this.list = make("div", "gptoss-adapters");
    this.box.append(this.list);
  }
  offer(scales) {
    const names = Object.keys(scales ?? {});
    this.scales = scales ?? {};
    if (names.join("\n") === [...this.rows.keys()].join("\n") && this.offered) return;
    this.offered = true;
    this.rows = new Map(names.map((name) => [name, this.row(name)]));
    const none = make("div", "gptoss-hint", `${this.field.empty}: %gptoss lora attach PATH`);
    this.list.replaceChildren(...[...this.rows.values()].map(({ row }) => row));
    if (!names.length) this.list.append(none);
  }
  row(name) {
    const row = make("div", "gptoss-row");
    const label = make("label", "gptoss-adapter");
    const check = make("input");
    check.type = "checkbox";
    const slider = make("input", "gptoss-slide");
    const { low, high, step } = this.field;
    Object.assign(slider, { type: "range", min: low, max: high, step });
    slider.setAttribute("aria-label", `Scale of ${name}`);
    const shown = make("output", "gptoss-scale");
    label.append(check, name);
    row.append(label, slider, shown);
    check.onchange = () => this.changed();
    slider.oninput = () => {
      shown.textContent = `× ${slider.value}`;
      this.changed();
    };
    return { row, check, slider, shown };
  }
  changed() {
    const used = [...this.rows].filter(([, { check }]) => check.checked);
    this.send(Object.fromEntries(used.map(([name, { slider }]) => [name, slider.valueAsNumber])));
    for (const { check, slider } of this.rows.values()) slider.disabled = !check.checked;
  }
  show(value) {
    for (const [name, { check, slider, shown }] of this.rows) {
      const scale = value?.[name] ?? this.scales[name];
      check.checked = name in (value ?? {});
      slider.disabled = !check.checked;
      slider.value = scale;
      shown.textContent = `× ${Number(scale.toPrecision(4))}`;
    }
  }
}

const KINDS = {
  slider: SliderField,
  number: NumberField,
  choice: ChoiceField,
  select: SelectField,
  text: TextField,
  switch: SwitchField,
  adapters: AdaptersField,
};

// The model's state, and Stop.
class Head {
  constructor(parent, stop) {
    const head = make("div", "gptoss-head");
    this.working = make("span", "gptoss-working", "");
    this.working.setAttribute("role", "status");
    this.stop = button("Stop", "End the running answer; what was said is kept", stop);
    this.stop.className = "gptoss-stop";
    head.append(make("strong", "", "gpt-oss control panel"), this.working, this.stop);
    this.numbers = make("dl", "gptoss-state");
    parent.append(head, this.numbers);
  }
  show(state) {
    this.stop.setAttribute("aria-disabled", !state.working); // not `disabled`: the focus would go
    const words = state.working ? `Running ${state.working}` : "Idle";
    if (this.working.textContent !== words) this.working.textContent = words;
    const parts = state.model ? facts(state) : [["Model", "none loaded: %gptoss load"]];
    this.numbers.replaceChildren(
      ...parts.map(([name, value]) => {
        const box = make("div");
        box.append(make("dt", "", name), make("dd", "", value));
        return box;
      }),
    );
  }
}

function facts(state) {
  const whole = (number) => number.toLocaleString("en");
  const speed = state.tokens_per_s ? `${state.tokens_per_s} tokens/s` : "–";
  return [
    ["Model", state.model.split("/").pop()],
    ["Memory", `${(state.memory / 1e9).toFixed(2)} GB`],
    ["Context", `${whole(state.used)} of ${whole(state.context)}`],
    ["Last answer", speed],
  ];
}

// Settings kept by name.
class Presets {
  constructor(parent, say) {
    const box = make("fieldset", "gptoss-presets");
    box.append(make("legend", "gptoss-label", "Presets"));
    this.select = make("select");
    this.select.setAttribute("aria-label", "Preset");
    this.name = make("input");
    Object.assign(this.name, { type: "text", placeholder: "name", maxLength: 64 });
    this.name.setAttribute("aria-label", "Name to save as");
    const chosen = (op) => () => this.select.value && say({ op, name: this.select.value });
    const save = () => this.name.value.trim() && say({ op: "save", name: this.name.value.trim() });
    this.name.onkeydown = (event) => event.key === "Enter" && save();
    this.acts = [
      button("Load", "Use the settings of the chosen preset", chosen("load")),
      button("Delete", "Forget the chosen preset", chosen("delete")),
    ];
    const kept = make("div", "gptoss-row");
    kept.append(this.select, ...this.acts);
    const fresh = make("div", "gptoss-row");
    fresh.append(this.name, button("Save", "Keep these settings under this name", save));
    box.append(kept, fresh);
    parent.append(box);
  }
  show(names) {
    fill(this.select, names?.length ? names : [""], "no preset yet");
    for (const act of this.acts) act.disabled = !names?.length;
  }
}

// One live panel; `root` is what a page shows.
class Panel {
  constructor(model) {
    this.model = model;
    const { fields, counts } = model.get("setup");
    this.root = make("section", "gptoss-panel");
    this.root.setAttribute("aria-label", "gpt-oss control panel");
    this.head = new Head(this.root, () => this.say({ op: "stop" }));
    this.note = make("div", "gptoss-note");
    this.note.setAttribute("role", "alert");
    const grid = make("div", "gptoss-fields");
    const settle = delayed(() => (this.held ? settle() : this.say({ op: "settled" })), SETTLE_MS);
    this.settle = settle; // the page draws the output anew: not while a slider is held
    this.root.addEventListener("pointerdown", () => (this.held = true));
    this.released = () => (this.held = false);
    for (const event of RELEASES) window.addEventListener(event, this.released);
    const send = (name, value) => {
      this.say({ op: "set", name, value });
      settle();
    };
    this.fields = fields.map((field) => new KINDS[field.kind](field, send));
    grid.append(...this.fields.map(({ box }) => box));
    this.root.append(grid);
    this.presets = new Presets(this.root, (message) => {
      this.say(message);
      settle();
    });
    this.root.append(this.note, make("div", "gptoss-hint", counts));
    this.changed = () => this.show();
    this.heard = (message) => this.hear(message);
    model.on("change", this.changed);
    model.on("msg:custom", this.heard);
    this.keepFocus();
    this.show();
    this.say({ op: "ready" });
  }
  // Where the page draws an output anew, the focus goes; it comes back unless the user moved it.
  keepFocus() {
    this.root.addEventListener("focusin", (event) => (this.focused = event.target));
    this.root.addEventListener("focusout", () =>
      setTimeout(() => {
        const { root } = this;
        if (root.isConnected && !root.contains(document.activeElement)) this.focused = undefined;
      }),
    );
  }
  say(message) {
    if (this.gone) return;
    clearTimeout(this.waiting);
    const words = "No answer from the kernel yet. To stop it, use ■ in the toolbar.";
    this.waiting = setTimeout(() => (this.note.textContent = words), PATIENCE_MS);
    this.model.send(message);
  }
  hear(message) {
    if (message.op === "note" && this.note.textContent !== message.text) this.note.textContent = message.text;
    if (message.op !== "heard") return;
    clearTimeout(this.waiting);
    this.show();
  }
  show() {
    const values = this.model.get("values");
    const choices = this.model.get("choices");
    const state = this.model.get("state");
    this.head.show(state);
    if (this.worked && !state.working) this.settle();
    this.worked = state.working;
    this.presets.show(choices.presets);
    for (const field of this.fields) field.take(values[field.field.name] ?? null, choices, state);
  }
  forget() {
    clearTimeout(this.waiting);
    this.model.off("change", this.changed);
    this.model.off("msg:custom", this.heard);
    for (const event of RELEASES) window.removeEventListener(event, this.released);
    this.gone = true;
    this.root.remove();
  }
}

// Puts a live panel into each host of this widget, and takes it along where the page draws it anew.
class Hosts {
  constructor(model, identity) {
    [this.model, this.identity] = [model, identity];
    this.panels = new Map();
    this.watch = new MutationObserver(() => this.look());
    this.watch.observe(document.body, { childList: true, subtree: true });
    this.look();
  }
  look() {
    for (const host of document.getElementsByClassName(`gptoss-panel-${this.identity}`))
      if (!this.panels.has(host)) this.fill(host);
  }
  fill(host) {
    const [old, panel] = this.orphan() ?? [undefined, new Panel(this.model)];
    if (old) this.panels.delete(old);
    const focused = panel.focused;
    this.panels.set(host, panel);
    for (const node of host.children) node.hidden = true;
    host.append(panel.root);
    focused?.focus({ preventScroll: true });
  }
  orphan() {
    return [...this.panels].find(([host]) => !host.isConnected);
  }
  forget() {
    this.watch.disconnect();
    for (const [host, panel] of this.panels) {
      panel.forget();
      for (const node of host.children) node.hidden = false;
    }
    this.panels.clear();
  }
}

function initialize({ model }) {
  const hosts = new Hosts(model, model.get("setup").identity);
  const gone = () => hosts.forget();
  for (const event of ["comm:close", "comm_live_update", "destroy"]) model.on(event, gone);
  return gone;
}

function render({ model, el }) {
  const panel = new Panel(model);
  el.append(panel.root);
  return () => panel.forget();
}

export default { initialize, render };
