/** Changes of holdfast.yaml: parsed here, on record, then given to the launcher, which tells every process and writes the file. decide.ts calls it. */
import type { OwnPrice } from '../../proxies/llm/kinds/kind.ts';
import { Problem } from '../problem.ts';
import type { RecordAct } from './acts.ts';
import type { Applied, Launcher } from './launcher.ts';

export type Configuration = {
  /** An edit by hand takes effect. Throws a Problem with one mistake a line when the file does not parse; the last good one then stands. */
  apply(text: string | undefined): Promise<Applied>;
  addAgent(name: string, text: string | undefined): Promise<Applied>;
  removeAgent(name: string, text: string | undefined): Promise<Applied>;
  /** What a model costs, so that it need not wait any longer. */
  setPrice(provider: string, model: string, price: OwnPrice, text: string | undefined): Promise<Applied>;
};

export function createConfiguration({
  launcher,
  record,
}: {
  launcher: Launcher;
  record: RecordAct;
}): Configuration {
  const current = async (text: string | undefined): Promise<string> => text ?? (await launcher.configText());

  /** The parser and YAML are a megabyte each of memory that is seldom needed: they come with the first change. */
  const parser = (): Promise<typeof import('../config/edit.ts')> => import('../config/edit.ts');

  const give = async (act: string, fields: Record<string, unknown>, text: string): Promise<Applied> => {
    await record({ act, by: 'operator', from: 'cli', ...fields });
    return launcher.apply(text);
  };

  const edit = async (
    verb: 'addAgent' | 'removeAgent',
    name: string,
    text: string | undefined,
  ): Promise<Applied> => {
    const edited = (await parser())[verb](await current(text), name);
    if (!edited.ok) throw new Problem(edited.code, 422, edited.why, edited.hint);
    const act = verb === 'addAgent' ? 'agent-add' : 'agent-remove';
    return give(act, { agent: name, version: edited.parsed.digest }, edited.text);
  };

  return {
    async apply(given) {
      const text = await current(given);
      const [{ parseConfig }, { mistakeLine }] = await Promise.all([
        import('../config.ts'),
        import('../config/mistake.ts'),
      ]);
      const parsed = parseConfig(text, 'holdfast.yaml');
      if (!parsed.ok) {
        const lines = parsed.mistakes.map((each) => mistakeLine(parsed.file, each));
        throw new Problem(
          'config',
          422,
          lines.join('\n'),
          'Mend the file and apply it again. What ran before runs on.',
        );
      }
      return give('config-apply', { version: parsed.digest }, text);
    },
    addAgent: (name, text) => edit('addAgent', name, text),
    removeAgent: (name, text) => edit('removeAgent', name, text),
    async setPrice(provider, model, price, given) {
      const { setPrice } = await import('../config/pricing.ts');
      const edited = setPrice(await current(given), provider, model, price);
      if (!edited.ok) throw new Problem(edited.code, 422, edited.why, edited.hint);
      return give('price-set', { provider, model, price, version: edited.parsed.digest }, edited.text);
    },
  };
}
