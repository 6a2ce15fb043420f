/** Colours of the first line's words and of `{{ … }}`, wherever in the body it stands. */
import { EditorState, Range, StateField } from '@codemirror/state';
import { Decoration, DecorationSet, EditorView } from '@codemirror/view';
import { headOf, headStart, kindOf, wordsOf } from './magic';

const TEMPLATE = /\{\{[^]+?\}\}|\{%[^]+?%\}/g;
const RAW = /\{%[-+]?\s*raw\s*[-+]?%\}([^]*?)\{%[-+]?\s*endraw\s*[-+]?%\}/g;
const MAX_CHARS = 200_000;

const mark = (name: string) => Decoration.mark({ class: `gptoss-lab-tok-${name}` });
const marks = {
  magic: mark('magic'),
  option: mark('option'),
  value: mark('value'),
  name: mark('name'),
  template: mark('template')
};

/** What is raw is text: its place is kept, its braces are not. */
function withoutBraces(block: string, inner: string): string {
  const at = block.indexOf('%}') + 2;
  return block.slice(0, at) + inner.replace(/[{}]/g, ' ') + block.slice(at + inner.length);
}

function marksOf(state: EditorState): DecorationSet {
  const source = state.sliceDoc(0, MAX_CHARS);
  const [start, head] = [headStart(source), headOf(source)];
  const kind = kindOf(head);
  if (!kind) {
    return Decoration.none;
  }
  const ranges: Range<Decoration>[] = wordsOf(head).map(word =>
    marks[word.role].range(start + word.from, start + word.to)
  );
  if (kind === 'prompt') {
    const text = source.replace(RAW, withoutBraces);
    TEMPLATE.lastIndex = start + head.length;
    for (let match = TEMPLATE.exec(text); match; match = TEMPLATE.exec(text)) {
      ranges.push(marks.template.range(match.index, match.index + match[0].length));
    }
  }
  return Decoration.set(ranges, true);
}

/** Kept beside the document: a cell is small, so it is read anew at each change. */
export const cellMarks = StateField.define<DecorationSet>({
  create: marksOf,
  update: (before, tr) => (tr.docChanged ? marksOf(tr.state) : before),
  provide: field => EditorView.decorations.from(field)
});
