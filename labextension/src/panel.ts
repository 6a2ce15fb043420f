/** The side panel: what the kernel of the notebook in front holds and does. */
import { Widget } from '@lumino/widgets';
import { curves, summary } from './curves';
import { button, Child, count, el, folded } from './dom';
import { bytes, IKernelState, IRun, isBusy, shortName } from './state';

const NO_MODEL = 'No model is loaded: run %gptoss load.';
const NOTHING = 'This notebook does not use gpt-oss: run %load_ext gptoss_magic in a cell.';
const ENDED: Record<string, string> = { return: 'done', running: 'cut off', interrupt: 'interrupted' };

function rows(pairs: [string, string][]): HTMLElement {
  const table = el('dl', 'gptoss-lab-rows');
  for (const [name, value] of pairs.filter(pair => pair[1])) {
    const said = el('dd', '', value);
    said.dir = 'auto';
    table.append(el('dt', '', name), said);
  }
  return table;
}

function meter(label: string, value: number, limit: number, words: string): HTMLElement | null {
  if (!limit) {
    return null;
  }
  const bar = el('meter', 'gptoss-lab-meter');
  [bar.max, bar.value] = [limit, Math.min(value, limit)];
  bar.setAttribute('aria-label', label);
  return el('div', 'gptoss-lab-metered', el('span', '', label), bar, el('span', 'gptoss-lab-muted', words));
}

function model(state: IKernelState): Child[] {
  if (!state.model) {
    return [el('p', 'gptoss-lab-muted', NO_MODEL)];
  }
  const { used, context, cache, cache_limit: limit } = state;
  const name = el('div', 'gptoss-lab-model', shortName(state.model));
  name.title = state.model;
  return [
    name,
    rows([
      ['Device', `${state.device} · ${bytes(state.memory)}`],
      ['Persona', state.persona || 'none'],
      ['Speed', speed(state)]
    ]),
    meter('Context', used, context, `${used.toLocaleString('en')} of ${count(context, 'token')}`),
    meter('KV cache', cache, limit, `${bytes(cache)} of ${bytes(limit)}`)
  ];
}

function work(state: IKernelState): string {
  return [
    state.working && `Running ${state.working}`,
    state.training && `Training ${state.training}`,
    state.queue.length && `${count(state.queue.length, 'prompt')} waiting`
  ]
    .filter(Boolean)
    .join(' · ');
}

function runNode(run: IRun, training: string): HTMLElement {
  const end = run.name === training ? 'training' : ENDED[run.finish] ?? run.finish;
  const steps = run.num_steps ? ` · step ${run.step} of ${run.num_steps}` : '';
  const head = el('div', 'gptoss-lab-run-name', run.name, el('span', 'gptoss-lab-muted', ` ${run.method}${steps} · ${end}`));
  head.dir = 'auto';
  const words = summary(run);
  return el('div', 'gptoss-lab-run', head, curves(run), words && el('div', 'gptoss-lab-muted', words));
}

function names(items: string[]): Child[] {
  return items.map(item => {
    const node = el('div', 'gptoss-lab-item', item);
    node.dir = 'auto';
    return node;
  });
}

const scaled = (adapter: IKernelState['adapters'][number]): string =>
  `${adapter.name} × ${Number(adapter.scale.toPrecision(3))}${adapter.is_used ? ' · in use' : ''}`;

function talk(one: IKernelState['conversations'][number]): HTMLElement {
  const counts = ` ${count(one.num_turns, 'turn')} · ${count(one.num_tokens, 'token')}`;
  const asked = el('div', 'gptoss-lab-asked', one.asked);
  asked.dir = 'auto';
  return el('div', 'gptoss-lab-item', one.name, el('span', 'gptoss-lab-muted', counts), asked);
}

function request(one: IKernelState['served'][number]): HTMLElement {
  const counts = `${one.model} · ${one.state} · ${count(one.num_tokens, 'token')}`;
  const asked = el('div', 'gptoss-lab-asked', one.asked);
  asked.dir = 'auto';
  return el('div', 'gptoss-lab-item', el('span', 'gptoss-lab-muted', counts), asked);
}

/** A title, what is shown below it, and how. */
type Section = [string, unknown[], () => Child[]];

function sections(state: IKernelState): Section[] {
  const { conversations, adapters, indexes, queue, training, served = [] } = state;
  const runs = [...state.runs.values()].reverse();
  return [
    ['Waiting for the model', queue, () => names(queue)],
    ['Endpoint', served, () => served.map(request)],
    ['Runs', runs, () => runs.map(run => runNode(run, training))],
    ['Conversations', conversations, () => [...conversations].reverse().map(talk)],
    ['Adapters', adapters, () => names(adapters.map(scaled))],
    ['Indexes', indexes, () => names(indexes)]
  ];
}

export class StatePanel extends Widget {
  private readonly _doing = el('div', 'gptoss-lab-doing');
  private readonly _stop: HTMLButtonElement;
  private readonly _body = el('div', 'gptoss-lab-panel-body');
  private readonly _shown = new Map<string, { data: string; node: HTMLElement }>();

  constructor(stop: () => void) {
    super();
    this.id = 'gptoss-state';
    this.addClass('gptoss-lab-panel-side');
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', 'gpt-oss');
    this._stop = button('Stop', 'End what runs, as ■ does', stop);
    this._stop.classList.add('gptoss-lab-stop');
    this._doing.setAttribute('role', 'status');
    this.node.append(el('div', 'gptoss-lab-panel-head', this._doing, this._stop), this._body);
    this.draw(null);
  }

  draw(state: IKernelState | null): void {
    this._doing.textContent = state ? work(state) || 'Idle' : '';
    this._doing.classList.toggle('gptoss-lab-mod-busy', isBusy(state));
    this._stop.disabled = !isBusy(state);
    this._stop.hidden = !state;
    if (!state) {
      this._shown.clear();
      this._body.replaceChildren(el('p', 'gptoss-lab-muted', NOTHING));
      return;
    }
    const { model: name, device, memory, persona, tokens_per_s, used, context, cache, cache_limit } = state;
    const about = [name, device, Math.round(memory / 1e7), persona, tokens_per_s, used, context, cache, cache_limit];
    const parts = [this._part('', about, () => el('section', '', ...model(state)))];
    for (const [title, items, draw] of sections(state).filter(one => one[1].length)) {
      const data = [state.training, items];
      parts.push(this._part(title, data, () => section(title, items.length, draw())));
    }
    const note = state.note ? [el('p', 'gptoss-lab-muted gptoss-lab-note', state.note)] : [];
    this._place([...parts, ...note]);
  }

  /** What is shown already, unless what it shows has changed; what is unfolded stays so. */
  private _part(title: string, about: unknown, draw: () => HTMLElement): HTMLElement {
    const data = JSON.stringify(about);
    const before = this._shown.get(title);
    if (before?.data === data) {
      return before.node;
    }
    const node = draw();
    if (node instanceof HTMLDetailsElement && before?.node instanceof HTMLDetailsElement) {
      node.open = before.node.open;
    }
    this._shown.set(title, { data, node });
    return node;
  }

  private _place(nodes: HTMLElement[]): void {
    const { children } = this._body;
    if (nodes.length !== children.length || nodes.some((node, i) => node !== children[i])) {
      this._body.replaceChildren(...nodes);
    }
  }
}

function section(title: string, size: number, children: Child[]): HTMLDetailsElement {
  const node = folded(title, `${title} · ${size}`, 'gptoss-lab-section', ...children);
  node.open = true;
  return node;
}

/** An answer of one token has none. */
function speed(state: IKernelState): string {
  if (state.tokens_per_s) {
    return `${state.tokens_per_s} tokens/s`;
  }
  return state.used ? 'the last answer was too short to tell' : 'no answer yet';
}
