/** Enter within a list item or a quote begins the next one; on an empty one it ends the list. */
import { EditorSelection, EditorState, Transaction } from '@codemirror/state';
import { KeyBinding } from '@codemirror/view';
import { headOf, headStart } from './magic';

const ITEM = /^(\s*(?:>\s?)*)(?:([-*+]|\d{1,9}[.)])(\s+)(\[[ xX]\]\s+)?)?/;

/** What the line after this one begins with; null where it is no item and no quote. */
export function nextMark(line: string): { mark: string; isEmpty: boolean } | null {
  const [whole, quote, bullet, space, box] = ITEM.exec(line) ?? [''];
  if (!bullet && !quote?.includes('>')) {
    return null;
  }
  const number = bullet ? parseInt(bullet, 10) : NaN;
  const next = Number.isNaN(number) ? bullet ?? '' : `${number + 1}${bullet!.slice(-1)}`;
  const mark = `${quote ?? ''}${next}${space ?? ''}${box ? '[ ] ' : ''}`;
  return { mark, isEmpty: line.slice(whole.length).trim() === '' };
}

function continueList({ state, dispatch }: { state: EditorState; dispatch: (tr: Transaction) => void }): boolean {
  const { main } = state.selection;
  const line = state.doc.lineAt(main.head);
  const source = state.doc.toString();
  const bodyStart = headStart(source) + headOf(source).length;
  const before = state.sliceDoc(line.from, main.from);
  const next = state.selection.ranges.length === 1 && line.from > bodyStart ? nextMark(before) : null;
  if (!next || !main.empty || state.readOnly) {
    return false;
  }
  const endsList = next.isEmpty && main.head === line.to;
  const from = endsList ? line.from : main.head;
  const insert = endsList ? '' : state.lineBreak + next.mark;
  const anchor = from + insert.length;
  dispatch(
    state.update({
      changes: { from, to: main.head, insert },
      selection: EditorSelection.cursor(anchor),
      userEvent: 'input',
      scrollIntoView: true
    })
  );
  return true;
}

export const listKeys: KeyBinding[] = [{ key: 'Enter', run: continueList }];
