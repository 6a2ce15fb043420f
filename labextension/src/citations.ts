/** Citations of an answer: marks in its text, and the passages that they lead to. */
import { IAnswer, ICitation, IPassage } from './answer';
import { el, folded, plain } from './dom';
import { IMark } from './prose';

/** Kernel places count whole characters, a browser's count halves of some of them. */
function placeOf(source: string, citation: ICitation): number {
  let at = 0;
  for (let n = 0; n < citation.start && at < source.length; n++) {
    at += source.codePointAt(at)! > 0xffff ? 2 : 1;
  }
  return source.startsWith(citation.text, at) ? at : source.indexOf(citation.text);
}

function markNode(citation: ICitation, host: () => HTMLElement): HTMLElement {
  const isWrong = !citation.isValid || citation.doubt;
  const node = el('a', `gptoss-lab-cite${isWrong ? ' gptoss-lab-mod-wrong' : ''}`, citation.text);
  const about = citation.doubt ? `Source ${citation.number}: ${citation.doubt}` : `Source ${citation.number}`;
  node.title = citation.isValid ? about : 'There is no such source';
  if (citation.isValid) {
    node.href = '#';
    node.addEventListener('click', event => {
      event.preventDefault();
      const key = `source-${citation.number}`;
      const passage = host().querySelector<HTMLDetailsElement>(`details[data-key="${key}"]`);
      passage?.setAttribute('open', '');
      passage?.scrollIntoView({ block: 'nearest' });
    });
  }
  return node;
}

/** Where the answer cites; `host` is the element that has the passages. */
export function citationMarks(answer: IAnswer, host: () => HTMLElement): IMark[] {
  return answer.citations
    .filter(citation => citation.text)
    .map(citation => ({ citation, from: placeOf(answer.final, citation) }))
    .filter(({ from }) => from >= 0)
    .sort((a, b) => a.from - b.from)
    .map(({ citation, from }) => ({
      from,
      to: from + citation.text.length,
      node: () => markNode(citation, host)
    }));
}

/** A page's address without its escapes; a path as it is. */
function readable(source: string): string {
  try {
    return /^(https?|folder|site|zim|index|notebook):/.test(source) ? decodeURI(source) : source;
  } catch {
    return source; // it was no address
  }
}

function passageNode(passage: IPassage): HTMLElement {
  const lines = passage.lastLine ? `, lines ${passage.firstLine}–${passage.lastLine}` : '';
  const heading = passage.heading ? ` · ${passage.heading}` : '';
  const label = `${passage.number}. ${readable(passage.source)}${lines}${heading}`;
  return folded(`source-${passage.number}`, label, 'gptoss-lab-source', plain(passage.text));
}

/** The passages that the model was given. */
export function sources(answer: IAnswer): HTMLElement | null {
  if (!answer.passages.length) {
    return null;
  }
  const label = el('div', 'gptoss-lab-muted', 'Sources');
  return el('div', 'gptoss-lab-sources', label, ...answer.passages.map(passageNode));
}
