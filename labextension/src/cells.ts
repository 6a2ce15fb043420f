/** Cells around an output: what a button writes stands in a new cell, and nothing runs it. */
import { INotebookTracker, NotebookPanel } from '@jupyterlab/notebook';
import { IAnswer } from './answer';
import { headOf, kindOf, valueOf } from './magic';

export interface IPlace {
  panel: NotebookPanel;
  index: number;
}

/** The cell that shows this element; null outside of a notebook. */
export function placeOf(node: Node, tracker: INotebookTracker | null): IPlace | null {
  const panel = tracker?.find(one => one.node.contains(node));
  const index = panel?.content.widgets.findIndex(cell => cell.node.contains(node)) ?? -1;
  return panel && index >= 0 ? { panel, index } : null;
}

/** Writes a code cell below and selects it; false where the notebook cannot be changed. */
export function insertBelow({ panel, index }: IPlace, source: string): boolean {
  const { model } = panel.content;
  if (!model || model.readOnly) {
    return false;
  }
  model.sharedModel.insertCell(index + 1, { cell_type: 'code', source, metadata: {} });
  panel.content.deselectAll();
  panel.content.activeCellIndex = index + 1;
  panel.content.mode = 'edit';
  return true;
}

function quoted(word: string): string {
  return /^[\w./-]+$/.test(word) ? word : `'${word.replace(/'/g, `'"'"'`)}'`;
}

/** The line that runs this cell's recorded answers again. */
export function replaySource({ panel, index }: IPlace): string {
  const name = panel.context.path.split('/').pop() ?? '';
  return `%gptoss replay ${quoted(name)} --cell ${index + 1}`;
}

/** The cell that writes `final` again behind changed reasoning. */
export function editSource({ panel, index }: IPlace, answer: IAnswer): string {
  const head = headOf(panel.content.widgets[index].model.sharedModel.getSource());
  const name = kindOf(head) ? valueOf(head, '-o', '--output') : '';
  const raw = /\{\{|\{%/.test(answer.analysis) ? ' --raw' : '';
  return `%%gptoss --edit${name ? ` --of ${name}` : ''}${raw}\n${answer.analysis.trim()}\n`;
}
