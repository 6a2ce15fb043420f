// The live view of one answer. Text of the model only ever becomes text nodes.

function make(tag, className, text) {
  const node = document.createElement(tag);
  node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

function copyButton(text) {
  const button = make("button", "gptoss-copy", "Copy");
  button.title = "Copy this code";
  button.onclick = async () => {
    await navigator.clipboard.writeText(text());
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 1200);
  };
  return button;
}

// `code` and **bold**; the rest stays as it came.
function inline(text) {
  const node = make("span", "gptoss-prose");
  for (const piece of text.split(/(`[^`\n]+`|\*\*[^*\n]+\*\*)/)) {
    if (/^`.+`$/.test(piece)) node.append(make("code", "", piece.slice(1, -1)));
    else if (/^\*\*.+\*\*$/.test(piece)) node.append(make("strong", "", piece.slice(2, -2)));
    else node.append(piece);
  }
  return node;
}

function fence(text) {
  const box = make("div", "gptoss-code");
  const code = text.replace(/^[^\n]*\n?/, "");
  box.append(copyButton(() => code), make("pre", "", code));
  return box;
}

// Prose and fences in turn. Only the parts that may still grow are drawn again.
class Prose {
  constructor(parent) {
    this.parent = parent;
    this.text = "";
  }
  append(text) {
    this.text += text;
    const parts = this.text.split("```");
    const kept = Math.max(0, this.parent.childNodes.length - 2);
    while (this.parent.childNodes.length > kept) this.parent.lastChild.remove();
    for (let i = kept; i < parts.length; i++)
      this.parent.append(i % 2 ? fence(parts[i]) : inline(parts[i]));
  }
}

class Plain {
  constructor(parent) {
    this.text = "";
    this.node = parent.appendChild(document.createTextNode(""));
  }
  append(text) {
    this.text += text;
    this.node.appendData(text);
  }
}

function reasoningBlock(el) {
  const details = make("details", "gptoss-analysis");
  const summary = make("summary", "", "Reasoning");
  const body = make("div", "gptoss-prose");
  details.open = true;
  details.append(summary, body);
  el.append(details);
  return { summary, body: new Plain(body) };
}

// What a tool gave: folded where it is long.
function resultBlock(el, channel) {
  const details = make("details", "gptoss-result");
  const body = make("div", "gptoss-call");
  details.open = true;
  details.append(make("summary", "", channel.replace("result · ", "Result · ")), body);
  el.append(details);
  const plain = new Plain(body);
  return {
    body: {
      get text() {
        return plain.text;
      },
      append(text) {
        plain.append(text);
        details.open = plain.text.length <= 400;
      },
    },
  };
}

function block(el, channel) {
  if (channel === "analysis") return reasoningBlock(el);
  return channel.startsWith("result · ") ? resultBlock(el, channel) : proseBlock(el, channel);
}

function proseBlock(el, channel) {
  const known = channel === "final" || channel === "commentary";
  const label = channel.replace(/^functions\./, "Call · ");
  if (!known) el.append(make("div", "gptoss-label", label));
  const box = make("div", known ? `gptoss-${channel}` : "gptoss-call");
  el.append(box);
  return { body: known ? new Prose(box) : new Plain(box) };
}

class Answer {
  constructor(el, ask) {
    this.el = el;
    this.ask = ask;
    this.blocks = [];
    this.read = [0, 0];
    this.began = performance.now();
  }
  seconds() {
    return (performance.now() - this.began) / 1000;
  }
  // Parts may overlap with what is shown; after a gap the whole text is asked for.
  apply({ seconds, read, parts }) {
    if (!parts) return;
    this.read = read;
    this.began = performance.now() - 1000 * seconds;
    for (const part of parts) if (!this.add(part)) return this.ask();
  }
  add({ i, c, o, t }) {
    if (i > this.blocks.length) return false;
    if (i === this.blocks.length) {
      if (o > 0) return false;
      this.settle();
      this.blocks.push(block(this.el, c));
      this.blocks[i].from = this.seconds();
    }
    const body = this.blocks[i].body;
    if (o > body.text.length) return false;
    const fresh = t.slice(body.text.length - o);
    if (fresh) body.append(fresh);
    return true;
  }
  tick() {
    const last = this.blocks.at(-1);
    if (last?.summary)
      last.summary.textContent = `Reasoning · ${(this.seconds() - last.from).toFixed(1)} s`;
    return last;
  }
  settle() {
    this.tick();
  }
}

function render({ model, el }) {
  const root = make("div", "gptoss-live");
  const status = make("div", "gptoss-status");
  const bar = make("progress", "gptoss-read");
  bar.setAttribute("aria-label", "Prompt read");
  bar.hidden = true;
  const body = make("div", "gptoss-body");
  root.append(body, bar, status);
  el.append(root);
  let asked = -Infinity;
  const ask = () => {
    if (performance.now() - asked < 500) return;
    asked = performance.now();
    model.send({ op: "ready" });
  };
  const answer = new Answer(body, ask);
  const onMessage = (message) => answer.apply(message);
  const onSnapshot = () => answer.apply(model.get("snapshot") || {});
  const tick = () => {
    answer.tick();
    const words = [model.get("model_name"), `${answer.seconds().toFixed(1)} s`];
    const [done, total] = answer.read;
    const reading = !answer.blocks.length;
    const of = total ? `: ${done.toLocaleString()} of ${total.toLocaleString()} tokens` : "";
    if (reading) words.splice(1, 0, `reading the prompt${of}`);
    bar.hidden = !reading || !total;
    if (total) [bar.max, bar.value] = [total, done];
    status.textContent = words.filter(Boolean).join(" · ");
  };
  model.on("msg:custom", onMessage);
  model.on("change:snapshot", onSnapshot);
  onSnapshot();
  ask();
  const timer = setInterval(tick, 100);
  return () => {
    clearInterval(timer);
    model.off("msg:custom", onMessage);
    model.off("change:snapshot", onSnapshot);
  };
}

export default { render };
