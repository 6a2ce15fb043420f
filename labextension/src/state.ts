/** What a kernel says of itself; see gptoss_magic/records/lab.py. */

export interface IRun {
  name: string;
  method: string;
  finish: string;
  step: number;
  num_steps: number;
  loss: [number, number][];
  held_out: [number, number][];
}

export interface IKernelState {
  model: string | null;
  device: string;
  memory: number;
  context: number;
  used: number;
  tokens_per_s: number;
  cache: number;
  cache_limit: number;
  working: string;
  training: string;
  persona: string;
  queue: string[];
  adapters: { name: string; scale: number; is_used: boolean }[];
  conversations: { name: string; num_turns: number; num_tokens: number; asked: string }[];
  indexes: string[];
  /** What the endpoint was asked, the newest first; empty where it does not serve. */
  served: { id: string; asked: string; model: string; state: string; num_tokens: number }[];
  note: string;
  /** By name: a message has those that changed. */
  runs: Map<string, IRun>;
}

const VERSION = 1;

/** The state after a message; the one before where the message is of another format. */
export function after(before: IKernelState | null, data: unknown): IKernelState | null {
  const message = (data ?? {}) as { version?: number; state?: Omit<IKernelState, 'runs'>; runs?: IRun[] };
  if (message.version !== VERSION || !message.state) {
    return before;
  }
  const runs = new Map(before?.runs);
  message.runs?.forEach(run => runs.set(run.name, run));
  return { ...message.state, runs };
}

/** True while a cell works or a run trains. */
export const isBusy = (state: IKernelState | null): boolean => !!(state?.working || state?.training);

export function bytes(number: number): string {
  return number >= 1e9 ? `${(number / 1e9).toFixed(2)} GB` : `${Math.round(number / 1e6)} MB`;
}

/** A path or a hub name without its folders. */
export const shortName = (model: string): string => model.split(/[\\/]/).filter(Boolean).pop() ?? model;
