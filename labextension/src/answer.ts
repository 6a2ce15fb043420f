/** What `application/vnd.gptoss.answer+json` holds, read from JSON that anyone may have written. */

/** The first rows of a data frame; `size`: how many rows and columns it has. */
export interface IFrame {
  columns: string[];
  rows: string[][];
  size: [number, number];
}

/** `figures`: PNG in base64, of a piece of Python. */
export interface IStep {
  turn: number;
  name: string;
  arguments: string;
  outcome: string;
  result: string;
  thought: string;
  said: string;
  callS: number;
  note: string;
  figures: string[];
  frames: IFrame[];
}

export interface IPassage {
  number: number;
  source: string;
  heading: string;
  firstLine: number;
  lastLine: number;
  text: string;
}

export interface ICitation {
  text: string;
  start: number;
  number: number;
  isValid: boolean;
  doubt: string;
}

/** `logprob` in nats; null where it was not kept. */
export interface IToken {
  text: string;
  channel: string;
  logprob: number | null;
}

export interface IAnswer {
  model: string;
  finish: string;
  note: string;
  analysis: string;
  commentary: string;
  final: string;
  usage: Record<string, number> | null;
  calls: { name: string; arguments: string }[];
  steps: IStep[];
  passages: IPassage[];
  citations: ICitation[];
  repairs: string[];
  tokens: IToken[];
  hasRecord: boolean;
}

const PNG = /^iVBORw0KGgo[A-Za-z0-9+/]+={0,2}$/; // nothing else becomes a picture

type Json = Record<string, unknown>;

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const objects = (value: unknown): Json[] => (Array.isArray(value) ? value.filter(isObject) : []);
const number = (value: unknown): number =>
  typeof value === 'number' && Number.isFinite(value) ? value : 0;

function text(value: unknown): string {
  if (typeof value === 'string') {
    return value;
  }
  return value === undefined || value === null ? '' : JSON.stringify(value) ?? '';
}

function strings(value: unknown): string[] {
  return Array.isArray(value) ? value.map(text) : [];
}

function usageOf(value: unknown): Record<string, number> | null {
  return isObject(value)
    ? Object.fromEntries(Object.entries(value).filter(([, n]) => Number.isFinite(n))) as Record<string, number>
    : null;
}

function tokensOf(value: unknown): IToken[] {
  const { texts, channels, logprobs } = isObject(value) ? value : ({} as Json);
  const tokens = strings(texts).map(one => ({ text: one, channel: '', logprob: null as number | null }));
  let at = 0;
  for (const run of Array.isArray(channels) ? channels : []) {
    const [channel, length] = Array.isArray(run) ? run : [];
    const end = Math.min(tokens.length, at + Math.max(0, number(length)));
    for (; at < end; at++) {
      tokens[at].channel = text(channel);
    }
  }
  // they may be there for the last tokens only
  const odds: unknown[] = Array.isArray(logprobs) ? logprobs.slice(0, tokens.length) : [];
  const first = tokens.length - odds.length;
  odds.forEach((value, i) => {
    tokens[first + i].logprob = typeof value === 'number' ? value : null;
  });
  return tokens;
}

function frameOf(frame: Json): IFrame {
  const [rows, columns] = Array.isArray(frame.size) ? frame.size.map(number) : [];
  return {
    columns: strings(frame.columns),
    rows: Array.isArray(frame.rows) ? frame.rows.map(strings) : [],
    size: [rows ?? 0, columns ?? 0]
  };
}

function stepOf(step: Json): IStep {
  return {
    turn: number(step.turn),
    name: text(step.name),
    arguments: text(step.arguments),
    outcome: text(step.outcome),
    result: text(step.result),
    thought: text(step.thought),
    said: text(step.said),
    callS: number(step.call_s),
    note: text(step.note),
    figures: strings(step.figures).filter(one => PNG.test(one)),
    frames: objects(step.frames).map(frameOf)
  };
}

function passageOf(passage: Json): IPassage {
  return {
    number: number(passage.number),
    source: text(passage.source),
    heading: text(passage.heading),
    firstLine: number(passage.first_line),
    lastLine: number(passage.last_line),
    text: text(passage.text)
  };
}

function citationOf(citation: Json): ICitation {
  const { text: words, start, number: n, valid } = citation;
  return {
    text: text(words),
    start: number(start),
    number: number(n),
    isValid: valid !== false,
    doubt: text(citation.doubt)
  };
}

/** The answer, or one line that says why there is none to show. */
export function readAnswer(json: unknown): IAnswer | string {
  if (!isObject(json)) {
    const what = Array.isArray(json) ? 'a list' : json === null ? 'null' : `a ${typeof json}`;
    return `This output holds ${what}, no gpt-oss answer: run its cell again.`;
  }
  const { version = 1 } = json;
  if (version !== 1) {
    return `This answer has the format ${text(version)}, and this extension reads format 1: update gptoss_magic.`;
  }
  const answer: IAnswer = {
    model: text(json.model),
    finish: text(json.finish),
    note: text(json.note),
    analysis: text(json.analysis),
    commentary: text(json.commentary),
    final: text(json.final),
    usage: usageOf(json.usage),
    calls: objects(json.tool_calls).map(call => ({ name: text(call.name), arguments: text(call.arguments) })),
    steps: objects(json.steps).map(stepOf),
    passages: objects(json.passages).map(passageOf),
    citations: objects(json.citations).map(citationOf),
    repairs: strings(json.repairs),
    tokens: tokensOf(json.tokens),
    hasRecord: isObject(json.record)
  };
  const { model, finish, analysis, commentary, final, steps, calls, tokens } = answer;
  const isEmpty = ![model, finish, analysis, commentary, final].some(Boolean);
  return isEmpty && !steps.length && !calls.length && !tokens.length
    ? 'This output has no gpt-oss answer in it: run its cell again.'
    : answer;
}
