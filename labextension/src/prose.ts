/**
 * Markdown that a model wrote, as elements. HTML in it is text, images are links and are not
 * fetched, links lead to the web only, and TeX stays as it is for Lab's typesetter.
 */
import { SyntaxNode } from '@lezer/common';
import { GFM, MarkdownConfig, parser as markdown } from '@lezer/markdown';
import { code, el } from './dom';

const MATH = /^(?:\$\$[^]+?\$\$|\$(?![\s$])(?:\\.|[^$\\])+?\$(?!\d)|\\\([^]+?\\\)|\\\[[^]+?\\\])/;
const WEB = /^(?:https?:\/\/|mailto:)/i;
const MAX_CHARS = 400_000;

const math: MarkdownConfig = {
  defineNodes: ['Math'],
  parseInline: [
    {
      name: 'Math',
      before: 'Escape',
      parse(cx, next, pos) {
        if (next !== 36 && next !== 92) {
          return -1;
        }
        const match = MATH.exec(cx.slice(pos, cx.end));
        return match ? cx.addElement(cx.elt('Math', pos, pos + match[0].length)) : -1;
      }
    }
  ]
};
const parser = markdown.configure([GFM, math]);

/** An element that stands for the characters from `from` to `to` of the source. */
export interface IMark {
  from: number;
  to: number;
  node: () => Node;
}

const TAGS: Record<string, keyof HTMLElementTagNameMap> = {
  Paragraph: 'p',
  BulletList: 'ul',
  OrderedList: 'ol',
  ListItem: 'li',
  Blockquote: 'blockquote',
  HorizontalRule: 'hr',
  Emphasis: 'em',
  StrongEmphasis: 'strong',
  Strikethrough: 'del',
  Table: 'table',
  TableHeader: 'tr',
  TableRow: 'tr'
};
const SILENT = new Set(
  'ListMark QuoteMark HeaderMark EmphasisMark StrikethroughMark LinkMark TableDelimiter CodeMark LinkReference'.split(' ')
);
/** Between their children stands nothing that is text. */
const STRUCTURE = new Set('Document BulletList OrderedList ListItem Blockquote Table TableHeader TableRow'.split(' '));

/** `text` as elements; each mark takes the place of its characters. */
export function prose(text: string, marks: IMark[] = []): HTMLElement {
  const host = el('div', 'gptoss-lab-prose');
  host.dir = 'auto';
  try {
    if (text.length > MAX_CHARS) {
      throw new RangeError('too long');
    }
    new Drawing(text, marks).children(parser.parse(text).topNode, host);
  } catch (error) {
    if (!(error instanceof RangeError)) {
      throw error;
    }
    host.replaceChildren(el('div', 'gptoss-lab-plain', text)); // too long, or nested too deep
  }
  host.querySelectorAll('p, li, blockquote, table, h3, h4, h5, h6').forEach(node => {
    (node as HTMLElement).dir = 'auto';
  });
  return host;
}

class Drawing {
  constructor(
    private readonly source: string,
    private readonly marks: IMark[]
  ) {}

  /** The node's children, and the text between them. */
  children(node: SyntaxNode, into: Node, from = node.from, to = node.to): void {
    const isText = !STRUCTURE.has(node.name);
    let at = from;
    for (let child = node.firstChild; child; child = child.nextSibling) {
      if (child.to <= from || child.from >= to) {
        continue;
      }
      if (isText) {
        this.text(at, child.from, into);
      }
      this.node(child, into);
      at = child.to;
    }
    if (isText) {
      this.text(at, to, into);
    }
  }

  private text(from: number, to: number, into: Node): void {
    let at = from;
    for (const mark of this.marks) {
      if (mark.from >= at && mark.to <= to) {
        into.appendChild(document.createTextNode(this.source.slice(at, mark.from)));
        into.appendChild(mark.node());
        at = mark.to;
      }
    }
    if (to > at) {
      into.appendChild(document.createTextNode(this.source.slice(at, to)));
    }
  }

  private node(node: SyntaxNode, into: Node): void {
    if (SILENT.has(node.name)) {
      return;
    }
    const slice = this.source.slice(node.from, node.to);
    const heading = /^(?:ATX|Setext)Heading(\d)$/.exec(node.name);
    if (heading) {
      // an answer's headings stand below those of the notebook
      const tag = `h${Math.min(6, Number(heading[1]) + 2)}` as 'h3';
      const title = into.appendChild(el(tag));
      this.children(node, title);
      return void title.normalize();
    }
    const tag = TAGS[node.name];
    if (tag) {
      const made = into.appendChild(el(tag));
      if (node.name === 'OrderedList') {
        (made as HTMLOListElement).start = parseInt(slice, 10) || 1;
      }
      return this.children(node, made);
    }
    switch (node.name) {
      case 'TableCell': {
        const isHead = node.parent?.name === 'TableHeader';
        return this.children(node, into.appendChild(el(isHead ? 'th' : 'td')));
      }
      case 'FencedCode':
      case 'CodeBlock':
        return void into.appendChild(code(this.codeOf(node)));
      case 'InlineCode':
        return void into.appendChild(el('code', '', slice.replace(/^`+ ?| ?`+$/g, '')));
      case 'Link':
      case 'Image':
      case 'Autolink':
      case 'URL':
        return this.link(node, into);
      case 'Escape':
        return this.text(node.from + 1, node.to, into);
      case 'Entity':
        return void into.appendChild(document.createTextNode(decoded(slice)));
      case 'HardBreak':
        return void into.appendChild(el('br'));
      case 'TaskMarker':
        return void into.appendChild(document.createTextNode(/x/i.test(slice) ? '☑' : '☐'));
      case 'Task':
        return this.children(node, into);
      default: // HTML, maths: text
        return this.text(node.from, node.to, into);
    }
  }

  private codeOf(node: SyntaxNode): string {
    return node
      .getChildren('CodeText')
      .map(part => this.source.slice(part.from, part.to))
      .join(node.name === 'CodeBlock' ? '\n' : '');
  }

  private link(node: SyntaxNode, into: Node): void {
    const target = node.name === 'URL' ? node : node.getChild('URL');
    let url = target ? this.source.slice(target.from, target.to) : '';
    if (node.name === 'URL' && /^www\./i.test(url)) {
      url = `https://${url}`;
    }
    if (!WEB.test(url)) {
      return this.text(node.from, node.to, into);
    }
    const made = el('a');
    made.href = url;
    made.rel = 'noopener noreferrer';
    made.target = '_blank';
    const [first, second] = node.getChildren('LinkMark');
    if (second && node.name !== 'Autolink') {
      this.children(node, made, first.to, second.from);
    }
    into.appendChild(made);
    if (!made.textContent?.trim()) {
      made.textContent = url;
    }
  }
}

/** `&amp;` as `&`; the parser's document is inert. */
function decoded(entity: string): string {
  return new DOMParser().parseFromString(entity, 'text/html').body.textContent ?? entity;
}
