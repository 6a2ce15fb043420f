/** An answer token by token, shaded by how likely the model found each. */
import { IToken } from './answer';
import { count, el, folded } from './dom';

const MAX_TOKENS = 50_000;
const NATS = 5; // as dark as it gets
const SHOWN: Record<string, string> = { '\n': '⏎\n', '\t': '⇥\t', '\r': '␍' };

function about(token: IToken, index: number): string {
  const place = `token ${index}${token.channel ? ` · ${token.channel}` : ''}`;
  if (token.logprob === null) {
    return place;
  }
  const percent = (100 * Math.exp(Math.min(0, token.logprob))).toPrecision(3);
  return `${place} · ${percent} % · ${token.logprob.toFixed(3)} nats`;
}

function tokenNode(token: IToken, index: number): HTMLElement {
  const text = token.text.replace(/[\n\t\r]/g, char => SHOWN[char]);
  const node = el('span', 'gptoss-lab-token', text);
  node.title = about(token, index);
  if (token.logprob !== null) {
    const share = Math.min(1, Math.max(0, -token.logprob / NATS));
    node.style.setProperty('--gptoss-lab-doubt', share.toFixed(3));
  }
  return node;
}

function draw(tokens: IToken[], into: HTMLElement): void {
  let channel: string | null = null;
  let line = into;
  tokens.slice(0, MAX_TOKENS).forEach((token, index) => {
    if (token.channel !== channel) {
      channel = token.channel;
      line = el('div', 'gptoss-lab-tokens-text');
      line.dir = 'auto';
      into.append(el('div', 'gptoss-lab-muted', channel || 'tokens'), line);
    }
    line.append(tokenNode(token, index));
  });
  if (tokens.length > MAX_TOKENS) {
    into.append(el('div', 'gptoss-lab-muted', `… and ${count(tokens.length - MAX_TOKENS, 'token')} more`));
  }
}

/** Folded; the tokens are drawn when it is opened first. */
export function tokenView(tokens: IToken[]): HTMLElement | null {
  if (!tokens.length) {
    return null;
  }
  const known = tokens.some(token => token.logprob !== null);
  const hint = known ? 'The more colour a token has, the less likely the model found it.' : 'No log-probabilities were kept.';
  const body = el('div', 'gptoss-lab-tokens', el('div', 'gptoss-lab-muted', hint));
  const view = folded('tokens', `Tokens · ${tokens.length.toLocaleString('en')}`, 'gptoss-lab-fold', body);
  let isDrawn = false;
  view.addEventListener('toggle', () => {
    if (view.open && !isDrawn) {
      isDrawn = true;
      draw(tokens, body);
    }
  });
  return view;
}
