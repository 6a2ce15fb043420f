/** The first line of a cell that is ours: which magic, and what each word of it is. */

export type Kind = 'prompt' | 'raw' | 'text' | 'yaml' | 'persona';

export interface IWord {
  from: number;
  to: number;
  role: 'magic' | 'option' | 'value' | 'name';
}

const MAGIC = /^%%gptoss(?:_\w+)?(?=\s|$)/;
/** Words as a shell splits them; a quote that is still open reaches to the end. */
const WORD = /(?:"(?:\\.|[^"\\])*"?|'[^']*'?|[^\s"'])+/g;
const NUMBER = /^-?\.?\d/;
/** Options whose value names a persona, an adapter, an index, a tool, a conversation or a variable. */
const NAMING = new Set(
  '-P --persona -a --adapter -G --rag -T --tool -c --conversation -M --map -o --output --of'.split(' ')
);
const NAMING_TUNE = new Set('-N --as -A --after -f --from-conversation -c --resume -o --output'.split(' '));

/** Where the first line that is not blank begins: IPython drops blank ones before a cell magic. */
export function headStart(source: string): number {
  const blank = /^(?:[^\S\n]*\n)*/.exec(source);
  return blank ? blank[0].length : 0;
}

export function headOf(source: string): string {
  const start = headStart(source);
  const end = source.indexOf('\n', start);
  return source.slice(start, end < 0 ? undefined : end);
}

/** What a cell with this first line holds; null for everything that is not ours. */
export function kindOf(head: string): Kind | null {
  const match = MAGIC.exec(head);
  if (!match) {
    return null;
  }
  if (match[0] === '%%gptoss') {
    return /\s--raw(?=\s|$)/.test(head) ? 'raw' : 'prompt';
  }
  const kinds: Record<string, Kind> = {
    '%%gptoss_depth': 'yaml',
    '%%gptoss_goal': 'yaml',
    '%%gptoss_persona': 'persona',
    '%%gptoss_tune': 'yaml'
  };
  return kinds[match[0]] ?? 'text';
}

/** The words of a first line, each with its role; places count from the line's start. */
export function wordsOf(head: string): IWord[] {
  const words: IWord[] = [];
  const isTune = head.startsWith('%%gptoss_tune');
  const isPersona = head.startsWith('%%gptoss_persona');
  const naming = isTune ? NAMING_TUNE : NAMING;
  let before = '';
  for (const match of head.matchAll(WORD)) {
    const [text, from] = [match[0], match.index ?? 0];
    const equals = text.startsWith('--') ? text.indexOf('=') : -1;
    if (words.length === 0) {
      words.push({ from, to: from + text.length, role: 'magic' });
    } else if (equals > 0) {
      const role = naming.has(text.slice(0, equals)) ? 'name' : 'value';
      words.push({ from, to: from + equals, role: 'option' });
      words.push({ from: from + equals + 1, to: from + text.length, role });
    } else if (text.startsWith('-') && !NUMBER.test(text)) {
      words.push({ from, to: from + text.length, role: 'option' });
    } else {
      const isName = naming.has(before) || (isPersona && words.length === 1);
      words.push({ from, to: from + text.length, role: isName ? 'name' : 'value' });
    }
    before = text;
  }
  return words.filter(word => word.to > word.from);
}

/** The value behind one of these options, without quotes; '' where the line has none. */
export function valueOf(head: string, ...options: string[]): string {
  const words = wordsOf(head);
  const at = words.findIndex(w => w.role === 'option' && options.includes(head.slice(w.from, w.to)));
  const value = at < 0 ? undefined : words[at + 1];
  return !value || value.role === 'option' ? '' : head.slice(value.from, value.to).replace(/["']/g, '');
}
