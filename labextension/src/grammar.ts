/**
 * The language of a cell of ours: its first line is one block, the rest Markdown, YAML, or YAML
 * front matter above Markdown. Prose, so four spaces make no code and `---` makes no heading.
 */
import { defineLanguageFacet, Language } from '@codemirror/language';
import { Parser, parseMixed } from '@lezer/common';
import { styleTags, tags } from '@lezer/highlight';
import { BlockContext, GFM, Line, MarkdownConfig, parseCode, parser as markdown } from '@lezer/markdown';
import { parser as yaml } from '@lezer/yaml';
import { Kind, kindOf } from './magic';

const [HEAD, BODY, FENCE, TEMPLATE] = ['GptossHead', 'GptossYaml', 'GptossFence', 'GptossTemplate'];
const RULE = /^---\s*$/;

const yamlParser = yaml.configure({
  props: [
    styleTags({
      'Key/Literal Key/QuotedLiteral': tags.definition(tags.propertyName),
      QuotedLiteral: tags.string,
      Comment: tags.lineComment,
      'Anchor Alias Tag': tags.labelName,
      '[ ] { } , - : ? |': tags.punctuation
    })
  ]
});

/** Finds the parser of a fenced block by its info string. */
let fencedParser: (info: string) => Parser | null = () => null;
export function setFencedParser(find: typeof fencedParser): void {
  fencedParser = find;
}

/** The lines from here to the end, or to the next `---`, as one leaf that the YAML parser fills. */
function takeYaml(cx: BlockContext, line: Line, untilRule: boolean): void {
  const from = cx.lineStart;
  let to = from;
  let more = true;
  while (more && !(untilRule && RULE.test(line.text))) {
    to = cx.lineStart + line.text.length;
    more = cx.nextLine();
  }
  if (to > from) {
    cx.addElement(cx.elt(BODY, from, to));
  }
}

function takeLine(cx: BlockContext, line: Line, name: string): boolean {
  cx.addElement(cx.elt(name, cx.lineStart, cx.lineStart + line.text.length));
  return cx.nextLine();
}

/** The first line, and the YAML behind it. */
function takeHead(kind: Kind, cx: BlockContext, line: Line): boolean {
  if (cx.depth !== 1 || kindOf(line.text) === null) {
    return false;
  }
  if (!takeLine(cx, line, HEAD)) {
    return true;
  }
  if (kind === 'yaml') {
    takeYaml(cx, line, false);
  } else if (kind === 'persona' && RULE.test(line.text) && takeLine(cx, line, FENCE)) {
    takeYaml(cx, line, true);
    if (RULE.test(line.text)) {
      takeLine(cx, line, FENCE);
    }
  }
  return true;
}

function config(kind: Kind): MarkdownConfig {
  return {
    defineNodes: [
      { name: HEAD, block: true },
      { name: BODY, block: true },
      { name: FENCE, block: true, style: tags.meta },
      TEMPLATE
    ],
    parseBlock: [{ name: HEAD, before: 'LinkReference', parse: (cx, line) => takeHead(kind, cx, line) }],
    // `{{ a * b }}` is one thing, whatever stands in it
    parseInline: [
      {
        name: TEMPLATE,
        before: 'Escape',
        parse(cx, next, pos) {
          if (kind !== 'prompt' || next !== 123 || cx.char(pos + 1) !== 123) {
            return -1;
          }
          const close = cx.slice(pos, cx.end).indexOf('}}');
          return close < 0 ? -1 : cx.addElement(cx.elt(TEMPLATE, pos, pos + close + 2));
        }
      }
    ],
    remove: ['IndentedCode', 'HTMLBlock', 'HTMLTag', 'SetextHeading'],
    wrap: parseMixed(node => (node.name === BODY ? { parser: yamlParser } : null))
  };
}

/** The language of one kind of cell. */
export function languageOf(kind: Kind): Language {
  const fenced = parseCode({ codeParser: info => fencedParser(info) });
  const parser = markdown.configure([GFM, fenced, config(kind)]);
  return new Language(defineLanguageFacet(), parser, [], `gptoss-${kind}`);
}
