/** An answer as elements, in the order of the static HTML that stands for it elsewhere. */
import { IAnswer, IFrame, IStep } from './answer';
import { citationMarks, sources } from './citations';
import { Child, code, count, el, folded, plain } from './dom';
import { prose } from './prose';
import { tokenView } from './tokens';

const FINISH: Record<string, string> = {
  return: 'finished',
  call: 'called a tool',
  stop: 'stopped at a stop string',
  length: 'cut at the token limit',
  interrupt: 'interrupted',
  limit: 'stopped at the limit of the run'
};
const OUTCOME: Record<string, string> = {
  error: 'error',
  unknown: 'no such tool',
  refused: 'refused',
  timeout: 'took too long',
  interrupt: 'interrupted',
  cut: 'cut off',
  limit: 'limit of the run'
};

function indented(json: string): string {
  try {
    return JSON.stringify(JSON.parse(json), null, 2);
  } catch {
    return json; // as it came
  }
}

function figure(png: string, words: string): HTMLElement {
  const node = el('img', 'gptoss-lab-figure');
  node.alt = words;
  node.src = `data:image/png;base64,${png}`; // within the page: nothing is fetched
  return node;
}

function frameNode({ columns, rows, size }: IFrame): HTMLElement {
  const head = el('tr', '', ...columns.map(name => el(name ? 'th' : 'td', '', name)));
  const body = rows.map(row => el('tr', '', ...row.map(cell => el('td', '', cell))));
  const table = el('table', '', el('thead', '', head), el('tbody', '', ...body));
  const scrolling = el('div', 'gptoss-lab-frame', table);
  scrolling.tabIndex = 0; // by keys, too
  scrolling.setAttribute('role', 'group');
  scrolling.setAttribute('aria-label', 'Rows of a data frame');
  const many = `${count(size[0], 'row')} × ${count(size[1], 'column')}`;
  return el('div', '', scrolling, el('div', 'gptoss-lab-muted', many));
}

function stepNode(step: IStep, index: number): HTMLElement {
  const outcome = OUTCOME[step.outcome] ?? '';
  const label = `${step.name || 'a tool'} · ${step.callS.toFixed(1)} s${outcome ? ` · ${outcome}` : ''}`;
  return el(
    'div',
    'gptoss-lab-step',
    step.thought && folded(`thought-${index}`, 'Reasoning', 'gptoss-lab-fold', plain(step.thought, 'gptoss-lab-aside')),
    step.said && prose(step.said),
    folded(
      `step-${index}`,
      label,
      `gptoss-lab-fold${outcome ? ' gptoss-lab-mod-wrong' : ''}`,
      code(indented(step.arguments)),
      plain(step.result, 'gptoss-lab-result'),
      ...step.figures.map((png, at) => figure(png, `Figure ${at + 1} of ${step.figures.length}, drawn by the code of this call`)),
      ...step.frames.map(frameNode),
      step.note && el('div', 'gptoss-lab-muted', step.note)
    )
  );
}

function reasoning(answer: IAnswer): HTMLElement | null {
  if (!answer.analysis.trim()) {
    return null;
  }
  const { usage } = answer;
  const words = answer.analysis.trim().split(/\s+/).length;
  const counted =
    usage?.analysis_tokens && !answer.steps.length
      ? `${count(usage.analysis_tokens, 'token')} · ${(usage.analysis_s ?? 0).toFixed(1)} s`
      : count(words, 'word');
  return folded('analysis', `Reasoning · ${counted}`, 'gptoss-lab-fold', plain(answer.analysis.trim(), 'gptoss-lab-aside'));
}

function speed(usage: Record<string, number>): string {
  const [tokens, time] = [usage.completion_tokens - 1, usage.total_s - usage.first_token_s];
  return tokens > 0 && time > 0 ? `${(tokens / time).toFixed(1)} tokens/s` : '';
}

/** Model, counts, speed and how it ended, in one line. */
export function metaLine({ model, usage, finish, repairs }: IAnswer): string {
  const cached = usage?.cached_tokens ? ` (${usage.cached_tokens.toLocaleString('en')} cached)` : '';
  return [
    model,
    usage?.prompt_tokens ? count(usage.prompt_tokens, 'prompt token') + cached : '',
    usage?.completion_tokens ? count(usage.completion_tokens, 'completion token') : '',
    usage ? speed(usage) : '',
    FINISH[finish] ?? finish,
    repairs.length ? `${count(repairs.length, 'repair')} of the headers` : ''
  ]
    .filter(Boolean)
    .join(' · ');
}

function finalNode(answer: IAnswer, host: HTMLElement): HTMLElement | null {
  if (!answer.final.trim()) {
    return null;
  }
  const node = prose(answer.final, citationMarks(answer, () => host));
  node.classList.add('gptoss-lab-final');
  return node;
}

function callNode(call: IAnswer['calls'][number]): HTMLElement {
  return el('div', '', el('div', 'gptoss-lab-muted', `Tool call · ${call.name}`), code(indented(call.arguments)));
}

/** Puts the answer into `host`, and below it `actions`. */
export function drawAnswer(answer: IAnswer, host: HTMLElement, actions: Node): void {
  const calls = answer.steps.length ? [] : answer.calls.map(callNode);
  const parts: Child[] = [
    ...answer.steps.map(stepNode),
    reasoning(answer),
    answer.commentary.trim() && el('div', 'gptoss-lab-aside', prose(answer.commentary)),
    finalNode(answer, host),
    ...calls,
    sources(answer),
    answer.note && el('div', 'gptoss-lab-muted gptoss-lab-note', answer.note),
    tokenView(answer.tokens),
    el('div', 'gptoss-lab-foot', el('span', 'gptoss-lab-muted', metaLine(answer)), actions)
  ];
  host.replaceChildren(...parts.filter((part): part is Node => part instanceof Node));
}
