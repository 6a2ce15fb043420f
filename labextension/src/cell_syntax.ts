/**
 * Cells of ours are no Python, and the cell's mimeType stays as it is.
 *
 * CodeMirror's `language` facet takes the value of highest precedence, so a compartment at
 * `Prec.highest` hides the notebook's language. A transaction extender looks at the first line of
 * each new document and swaps the compartment in the same transaction: typing, paste, undo and
 * edits of cells that are not on the screen all pass there.
 */
import { indentService, indentUnit } from '@codemirror/language';
import { Compartment, EditorState, Extension, Prec } from '@codemirror/state';
import { EditorView, keymap } from '@codemirror/view';
import { languageOf } from './grammar';
import { listKeys } from './lists';
import { headOf, headStart, Kind, kindOf } from './magic';
import { cellMarks } from './marks';

// as Markdown has them: the model reads them
const COMMENTS = { prose: { block: { open: '<!--', close: '-->' } }, yaml: { line: '#' } };

/** True in a persona above its text, where `#` begins a comment. */
function isFrontMatter(state: EditorState, pos: number): boolean {
  const source = state.doc.toString();
  const body = source.indexOf('\n', headStart(source)) + 1;
  const end = source.indexOf('\n---', body + 3);
  return body > 0 && source.startsWith('---', body) && pos >= body && (end < 0 || pos <= end);
}

function dataAt(kind: Kind, state: EditorState, pos: number): Record<string, unknown>[] {
  const isYaml = kind === 'yaml' || (kind === 'persona' && isFrontMatter(state, pos));
  return [{ closeBrackets: { brackets: [] }, commentTokens: isYaml ? COMMENTS.yaml : COMMENTS.prose }];
}

function syntaxOf(kind: Kind): Extension {
  return Prec.highest([
    languageOf(kind).extension,
    EditorState.languageData.of((state, pos) => dataAt(kind, state, pos)),
    indentService.of(() => null), // Enter keeps the indentation of the line above
    kind === 'yaml' || kind === 'persona' ? indentUnit.of('  ') : [],
    kind === 'yaml' ? [] : keymap.of(listKeys),
    EditorView.lineWrapping,
    EditorView.editorAttributes.of({ class: `gptoss-lab-cell gptoss-lab-cell-${kind}` }),
    cellMarks
  ]);
}

const made = new Map<Kind | null, Extension>([[null, []]]);

function extensionOf(kind: Kind | null): Extension {
  if (!made.has(kind)) {
    made.set(kind, syntaxOf(kind!));
  }
  return made.get(kind)!;
}

/** The editor extension of one code cell whose source is now `source`. */
export function cellSyntax(source: string): Extension {
  const box = new Compartment();
  return [
    box.of(extensionOf(kindOf(headOf(source)))),
    EditorState.transactionExtender.of(tr => {
      if (!tr.docChanged) {
        return null;
      }
      const before = kindOf(headOf(tr.startState.doc.toString()));
      const after = kindOf(headOf(tr.newDoc.toString()));
      return before === after ? null : { effects: box.reconfigure(extensionOf(after)) };
    })
  ];
}
