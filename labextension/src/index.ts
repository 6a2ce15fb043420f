/** The plugins. A token that JupyterLab or Notebook 7 may lack is optional in each. */
import { ILayoutRestorer, JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import {
  EditorExtensionRegistry,
  IEditorExtensionRegistry,
  IEditorLanguageRegistry
} from '@jupyterlab/codemirror';
import { ILauncher } from '@jupyterlab/launcher';
import { INotebookTracker, NotebookActions } from '@jupyterlab/notebook';
import { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import { IStatusBar } from '@jupyterlab/statusbar';
import { ParseContext } from '@codemirror/language';
import { cellSyntax } from './cell_syntax';
import { Follow } from './follow';
import { setFencedParser } from './grammar';
import { icon, iconUrl } from './icon';
import { newNotebook } from './new_notebook';
import { StatePanel } from './panel';
import { answerFactory } from './renderer';
import { isBusy } from './state';
import { StatusItem } from './status';

const CATEGORY = 'gpt-oss';
/** Before text/html, which has 50. */
const ANSWER_RANK = 0;

const syntax: JupyterFrontEndPlugin<void> = {
  id: 'gptoss-magic-lab:syntax',
  description: 'Shows %%gptoss cells as prose or YAML.',
  autoStart: true,
  requires: [IEditorExtensionRegistry],
  optional: [IEditorLanguageRegistry],
  activate: (_, registry: IEditorExtensionRegistry, languages: IEditorLanguageRegistry | null) => {
    setFencedParser(info => {
      const spec = languages?.findBest(info.split(/\s/)[0]);
      // a language is loaded when it is first used: the block is parsed again when it has come
      return spec
        ? spec.support?.language.parser ?? ParseContext.getSkippingParser(languages!.getLanguage(spec))
        : null;
    });
    registry.addExtension({
      name: 'gptoss-cell-syntax',
      factory: ({ model }) => {
        const isCode = (model as { type?: string }).type === 'code'; // a file has no type
        return isCode
          ? EditorExtensionRegistry.createImmutableExtension(cellSyntax(model.sharedModel.getSource()))
          : null;
      }
    });
  }
};

const renderer: JupyterFrontEndPlugin<void> = {
  id: 'gptoss-magic-lab:renderer',
  description: 'Shows answers with their tokens, sources and tool calls.',
  autoStart: true,
  requires: [IRenderMimeRegistry],
  optional: [INotebookTracker],
  activate: (_, registry: IRenderMimeRegistry, tracker: INotebookTracker | null) =>
    registry.addFactory(answerFactory(tracker), ANSWER_RANK)
};

const launcher: JupyterFrontEndPlugin<void> = {
  id: 'gptoss-magic-lab:launcher',
  description: 'A new notebook with the first cells.',
  autoStart: true,
  optional: [ILauncher, ICommandPalette],
  activate: (app, cards: ILauncher | null, palette: ICommandPalette | null) => {
    const command = 'gptoss:new-notebook';
    app.commands.addCommand(command, {
      label: args => (args.isPalette ? 'New gpt-oss notebook' : 'gpt-oss notebook'),
      caption: 'A notebook that loads a model and asks it something',
      icon: args => (args.isPalette ? undefined : icon),
      execute: args => newNotebook(app, typeof args.cwd === 'string' ? args.cwd : '')
    });
    cards?.add({ command, category: 'Notebook', rank: 5, kernelIconUrl: iconUrl });
    palette?.addItem({ command, category: CATEGORY, args: { isPalette: true } });
  }
};

const state: JupyterFrontEndPlugin<void> = {
  id: 'gptoss-magic-lab:state',
  description: 'The resident model in the status bar and a side panel.',
  autoStart: true,
  requires: [INotebookTracker],
  optional: [IStatusBar, ICommandPalette, ILayoutRestorer],
  activate: (
    { commands, shell }: JupyterFrontEnd,
    tracker: INotebookTracker,
    bar: IStatusBar | null,
    palette: ICommandPalette | null,
    restorer: ILayoutRestorer | null
  ) => {
    const follow = new Follow(tracker);
    const now = () => follow.current?.state ?? null;
    commands.addCommand('gptoss:stop', {
      label: 'Stop what the model does',
      isEnabled: () => isBusy(now()),
      execute: () => follow.current?.stop()
    });
    const panel = new StatePanel(() => void commands.execute('gptoss:stop'));
    panel.title.caption = 'gpt-oss';
    panel.title.label = bar ? '' : 'gpt-oss'; // Notebook 7 lists side panels by their names
    panel.title.icon = icon;
    shell.add(panel, 'right', { rank: 900, type: 'gpt-oss' });
    restorer?.add(panel, panel.id);
    commands.addCommand('gptoss:show-panel', {
      label: 'Show the panel',
      icon: args => (args.isPalette ? undefined : icon),
      execute: () => shell.activateById(panel.id)
    });
    commands.addCommand('gptoss:insert-prompt', {
      label: 'Insert a prompt cell',
      isEnabled: () => tracker.currentWidget !== null,
      execute: () => insertPrompt(tracker)
    });
    const item = new StatusItem(() => void commands.execute('gptoss:show-panel'));
    bar?.registerStatusItem('gptoss:state', {
      item,
      align: 'left',
      rank: 900,
      isActive: () => now() !== null,
      activeStateChanged: follow.changed
    });
    ['gptoss:stop', 'gptoss:show-panel', 'gptoss:insert-prompt'].forEach(command =>
      palette?.addItem({ command, category: CATEGORY, args: { isPalette: true } })
    );
    follow.changed.connect(() => {
      panel.draw(now());
      item.draw(now());
      commands.notifyCommandChanged('gptoss:stop');
    });
  }
};

/** An empty prompt below the active cell, to be written. */
function insertPrompt(tracker: INotebookTracker): void {
  const content = tracker.currentWidget?.content;
  if (content) {
    NotebookActions.insertBelow(content);
    NotebookActions.changeCellType(content, 'code');
    content.activeCell?.model.sharedModel.setSource('%%gptoss\n');
    content.mode = 'edit';
    content.activeCell?.editor?.setCursorPosition({ line: 1, column: 0 });
  }
}

export default [syntax, renderer, launcher, state];
