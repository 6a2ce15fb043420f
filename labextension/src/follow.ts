/** Links to the kernels of all notebooks, and the one of the notebook that is in front. */
import { INotebookTracker, NotebookPanel } from '@jupyterlab/notebook';
import { Kernel } from '@jupyterlab/services';
import { ISignal, Signal } from '@lumino/signaling';
import { KernelLink } from './link';

export class Follow {
  private readonly _links = new Map<Kernel.IKernelConnection, KernelLink>();
  private readonly _changed = new Signal<this, void>(this);

  constructor(private readonly _tracker: INotebookTracker) {
    _tracker.widgetAdded.connect((_, panel) => this._watch(panel));
    _tracker.forEach(panel => this._watch(panel));
    _tracker.currentChanged.connect(() => this._changed.emit());
  }

  /** Of the notebook in front; null where it has no kernel. */
  get current(): KernelLink | null {
    const kernel = this._tracker.currentWidget?.sessionContext.session?.kernel;
    return (kernel && this._links.get(kernel)) ?? null;
  }

  /** Another notebook is in front, or its kernel said something. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  private _watch(panel: NotebookPanel): void {
    const { sessionContext } = panel;
    this._link(sessionContext.session?.kernel ?? null);
    sessionContext.kernelChanged.connect((_, { newValue }) => this._link(newValue));
  }

  private _link(kernel: Kernel.IKernelConnection | null): void {
    if (kernel && !kernel.isDisposed && !this._links.has(kernel)) {
      const link = new KernelLink(kernel);
      this._links.set(kernel, link);
      kernel.disposed.connect(() => this._links.delete(kernel));
      link.changed.connect(() => {
        if (link === this.current) {
          this._changed.emit();
        }
      });
    }
    this._changed.emit();
  }
}
