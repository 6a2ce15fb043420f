/** The status bar's line; a click opens the panel. */
import { Widget } from '@lumino/widgets';
import { bytes, IKernelState, isBusy, shortName } from './state';

/** Model, adapters, persona, KV cache, speed and queue in a line; what is not there is left out. */
export function statusLine(state: IKernelState): string {
  const used = state.adapters.filter(adapter => adapter.is_used).map(adapter => adapter.name);
  return [
    state.model ? shortName(state.model) : 'no model',
    used.join('+'),
    state.persona,
    state.cache ? `KV ${bytes(state.cache)}` : '',
    state.tokens_per_s ? `${state.tokens_per_s} tok/s` : '',
    state.queue.length ? `${state.queue.length} waiting` : '',
    state.working || (state.training && `training ${state.training}`)
  ]
    .filter(Boolean)
    .join(' · ');
}

export class StatusItem extends Widget {
  constructor(open: () => void) {
    const node = document.createElement('button');
    node.type = 'button';
    super({ node });
    this.addClass('gptoss-lab-status');
    node.title = 'gpt-oss: open the panel';
    node.addEventListener('click', open);
  }

  draw(state: IKernelState | null): void {
    this.node.textContent = state ? statusLine(state) : '';
    this.toggleClass('gptoss-lab-mod-busy', isBusy(state));
  }
}
