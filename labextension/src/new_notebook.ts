/** A new notebook with the first cells; nothing in it has run. */
import { JupyterFrontEnd } from '@jupyterlab/application';

const INTRO = `# gpt-oss

Run the next cell: it loads a model that fits this machine. From then on \`%%gptoss\` cells prompt it.`;
const LOAD = '%load_ext gptoss_magic\n%gptoss load';
const PROMPT = '%%gptoss --effort low -o answer\nWhat is the capital of {{ country }}?';
const PYTHON = { name: 'python3', display_name: 'Python 3 (ipykernel)', language: 'python' };

const code = (source: string) => ({ cell_type: 'code', execution_count: null, metadata: {}, outputs: [], source });

export async function newNotebook({ serviceManager, commands }: JupyterFrontEnd, folder: string): Promise<unknown> {
  const { contents } = serviceManager;
  const { path } = await contents.newUntitled({ path: folder, type: 'notebook' });
  const cells = [
    { cell_type: 'markdown', metadata: {}, source: INTRO },
    code(LOAD),
    code('country = "France"'),
    code(PROMPT)
  ];
  const content = { cells, metadata: { kernelspec: PYTHON }, nbformat: 4, nbformat_minor: 4 };
  await contents.save(path, { type: 'notebook', format: 'json', content });
  return commands.execute('docmanager:open', { path, factory: 'Notebook' });
}
