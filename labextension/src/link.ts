/**
 * One comm to one kernel, open while `gptoss_magic` is loaded there.
 *
 * The kernel opens it under a fixed name. A page that comes later asks the control channel whether
 * it is there, which a busy kernel answers too; a kernel without it hears nothing else.
 */
import { Kernel, KernelMessage } from '@jupyterlab/services';
import { ISignal, Signal } from '@lumino/signaling';
import { after, IKernelState } from './state';

const TARGET = 'gptoss';
const COMM = 'gptoss-panel';
const PATIENCE_MS = 1500;

const late = (ms: number): Promise<null> => new Promise(done => setTimeout(done, ms, null));

export class KernelLink {
  private _state: IKernelState | null = null;
  private _comm: Kernel.IComm | null = null;
  private _isUnanswered = false;
  private readonly _changed = new Signal<this, void>(this);
  private readonly _heard = new Signal<this, string>(this);

  constructor(readonly kernel: Kernel.IKernelConnection) {
    if (!kernel.handleComms) {
      return; // another connection of this page has it
    }
    kernel.statusChanged.connect(this._onStatus);
    kernel.registerCommTarget(TARGET, (comm, message) => {
      this._bind(comm);
      this._take(message.content.data);
    });
    void this._find();
  }

  /** Null while the kernel has nothing to say. */
  get state(): IKernelState | null {
    return this._state;
  }

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** End what the kernel does; by an interrupt where no comm is heard while it is busy. */
  async stop(): Promise<void> {
    const isHeard = await this._ask('stop');
    if (!isHeard && this.kernel.status === 'busy') {
      await this.kernel.interrupt();
    }
  }

  /** The comm that was open before this page was. A kernel that does not answer is asked again. */
  private async _find(): Promise<void> {
    this._isUnanswered = false;
    const info = await control<{ comms?: Record<string, unknown> }>(this.kernel, 'comm_info_request', {
      target_name: TARGET
    });
    this._isUnanswered = info === null;
    if (info?.comms && COMM in info.comms && !this._comm && !this.kernel.isDisposed) {
      this._bind(this.kernel.createComm(TARGET, COMM));
      await this._ask('state');
    }
  }

  /** A restart keeps the connection: what the old kernel said is over. Idle, it answers again. */
  private readonly _onStatus = (_: unknown, status: Kernel.Status): void => {
    if (status === 'idle' && this._isUnanswered) {
      void this._find();
    }
    if (status === 'restarting' || status === 'autorestarting' || status === 'dead') {
      this._forget();
    }
  };

  private _bind(comm: Kernel.IComm): void {
    this._comm = comm;
    comm.onMsg = message => this._take(message.content.data);
    comm.onClose = () => {
      if (comm === this._comm) {
        this._forget();
      }
    };
  }

  private _take(data: unknown): void {
    this._state = after(this._state, data);
    this._changed.emit();
    const { heard } = (data ?? {}) as { heard?: unknown };
    if (typeof heard === 'string') {
      this._heard.emit(heard);
    }
  }

  private _forget(): void {
    this._comm = this._state = null;
    this._changed.emit();
  }

  /**
   * True where the kernel heard it. Kernels of today let our comm be heard while they are busy;
   * those before hear it in a subshell that a front end asks for, and the oldest do not.
   */
  private async _ask(op: string): Promise<boolean> {
    if (await this._sent(op, undefined)) {
      return true;
    }
    const reply = await control<{ subshell_id?: string }>(this.kernel, 'create_subshell_request', {});
    return !!reply?.subshell_id && this._sent(op, reply.subshell_id);
  }

  private async _sent(op: string, subshellId: string | undefined): Promise<boolean> {
    const { kernel, _comm: comm } = this;
    if (!comm || kernel.isDisposed) {
      return false;
    }
    const answer = new Promise<true>(done => {
      const hear = (_: unknown, heard: string) => {
        if (heard === op) {
          this._heard.disconnect(hear);
          done(true);
        }
      };
      this._heard.connect(hear);
    });
    const message = KernelMessage.createMessage<KernelMessage.ICommMsgMsg<'shell'>>({
      msgType: 'comm_msg',
      channel: 'shell',
      username: kernel.username,
      session: kernel.clientId,
      subshellId,
      content: { comm_id: comm.commId, data: { op } }
    });
    kernel.sendShellMessage(message, false, true);
    return (await Promise.race([answer, late(PATIENCE_MS)])) === true;
  }
}

/** A reply's content from the control channel, which is never busy; null where none comes. */
async function control<T>(kernel: Kernel.IKernelConnection, msgType: string, content: object): Promise<T | null> {
  const request = KernelMessage.createMessage({
    msgType: msgType as 'create_subshell_request',
    channel: 'control',
    username: kernel.username,
    session: kernel.clientId,
    content: content as Record<string, never>
  });
  try {
    const { done } = kernel.sendControlMessage(request, true);
    const reply = await Promise.race([done, late(4 * PATIENCE_MS)]);
    return (reply?.content as T | undefined) ?? null;
  } catch {
    return null; // the kernel is gone
  }
}
