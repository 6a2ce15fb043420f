/** Shows `application/vnd.gptoss.answer+json`; front ends without it read the same from text/html. */
import { INotebookTracker } from '@jupyterlab/notebook';
import { IRenderMime } from '@jupyterlab/rendermime-interfaces';
import { Message } from '@lumino/messaging';
import { Widget } from '@lumino/widgets';
import { IAnswer, readAnswer } from './answer';
import { drawAnswer } from './answer_view';
import { editSource, insertBelow, IPlace, placeOf, replaySource } from './cells';
import { button, el } from './dom';

export const MIME = 'application/vnd.gptoss.answer+json';
const SAID_MS = 2000;

class AnswerView extends Widget implements IRenderMime.IRenderer {
  private _answer: IAnswer | null = null;

  constructor(
    private readonly _options: IRenderMime.IRendererOptions,
    private readonly _tracker: INotebookTracker | null
  ) {
    super();
    this.addClass('gptoss-lab-answer');
  }

  /** Called again at each update of a display: what the reader unfolded stays open. */
  async renderModel(model: IRenderMime.IMimeModel): Promise<void> {
    const open = new Set([...this.node.querySelectorAll('details[open]')].map(keyOf));
    const answer = readAnswer(model.data[MIME]);
    if (typeof answer === 'string') {
      this._answer = null;
      this.node.replaceChildren(el('div', 'gptoss-lab-muted', answer));
      return;
    }
    this._answer = answer;
    drawAnswer(answer, this.node, this._actions());
    this.node.querySelectorAll('details').forEach(node => (node.open = open.has(keyOf(node))));
    this._options.latexTypesetter?.typeset(this.node);
  }

  protected onAfterAttach(message: Message): void {
    super.onAfterAttach(message);
    const canInsert = placeOf(this.node, this._tracker) !== null;
    this.node.querySelectorAll<HTMLElement>('.gptoss-lab-mod-insert').forEach(node => (node.hidden = !canInsert));
  }

  private _actions(): HTMLElement {
    const { final, analysis, hasRecord } = this._answer!;
    const insert = (label: string, title: string, source: (place: IPlace) => string) => {
      const node = button(label, title, () => this._insert(node, source));
      node.classList.add('gptoss-lab-mod-insert');
      node.hidden = this.isAttached && placeOf(this.node, this._tracker) === null;
      return node;
    };
    const copy = button('Copy', 'Copy the answer as it was written', () => void this._copy(copy));
    return el(
      'span',
      'gptoss-lab-actions',
      final && copy,
      hasRecord && insert('Replay', 'Write a cell below that runs this record again', replaySource),
      analysis.trim() &&
        insert('Edit the reasoning', 'Write a cell below with the reasoning, to change and run', place =>
          editSource(place, this._answer!)
        )
    );
  }

  private _insert(node: HTMLElement, source: (place: IPlace) => string): void {
    const place = placeOf(this.node, this._tracker);
    if (!place || !insertBelow(place, source(place))) {
      say(node, 'This notebook cannot be changed');
    }
  }

  private async _copy(node: HTMLElement): Promise<void> {
    try {
      await navigator.clipboard.writeText(this._answer?.final ?? '');
      say(node, 'Copied');
    } catch {
      say(node, 'The browser refused');
    }
  }
}

const keyOf = (node: Element): string => (node as HTMLElement).dataset.key ?? '';

/** A button's answer, in its own place for a moment. */
function say(node: HTMLElement, words: string): void {
  node.dataset.label ??= node.textContent ?? '';
  node.textContent = words;
  setTimeout(() => (node.textContent = node.dataset.label ?? ''), SAID_MS);
}

/** `safe`: it shows text only, so that an untrusted notebook has it too. */
export function answerFactory(tracker: INotebookTracker | null): IRenderMime.IRendererFactory {
  return { safe: true, mimeTypes: [MIME], createRenderer: options => new AnswerView(options, tracker) };
}
