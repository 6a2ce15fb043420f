/** Elements from text alone: what a model or a document says never becomes HTML. */

export type Child = Node | string | null | undefined | false;

export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  className = '',
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const node = document.createElement(tag);
  if (className) {
    node.className = className;
  }
  node.append(...children.filter((child): child is Node | string => !!child));
  return node;
}

/** A part that folds; `key` keeps its state when the answer is drawn again. */
export function folded(key: string, label: string, className: string, ...children: Child[]): HTMLDetailsElement {
  const node = el('details', className, el('summary', '', label), ...children);
  node.dataset.key = key;
  return node;
}

export function button(label: string, title: string, act: () => void): HTMLButtonElement {
  const node = el('button', 'gptoss-lab-button', label);
  node.type = 'button';
  node.title = title;
  node.addEventListener('click', act);
  return node;
}

/** Plain text with its line breaks, in its own direction of writing. */
export function plain(text: string, className = ''): HTMLElement {
  const node = el('div', `gptoss-lab-plain ${className}`.trim(), text);
  node.dir = 'auto';
  return node;
}

export function code(text: string): HTMLElement {
  return el('pre', 'gptoss-lab-code', el('code', '', text));
}

export const count = (number: number, noun: string): string =>
  `${number.toLocaleString('en')} ${noun}${number === 1 ? '' : 's'}`;
