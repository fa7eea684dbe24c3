/** `holdfast models`: providers and what they hold, aliases, prices, spend; a price said, a model pulled, a login begun. */
import { type Command, InvalidArgumentError } from 'commander';
import type { OwnPrice } from '../../proxies/llm/kinds/kind.ts';
import { Problem } from '../problem.ts';
import type { Config } from '../settings.ts';
import { visibleLine } from '../view/visible.ts';
import { sayApplied } from './config.ts';
import { exit } from './exit.ts';
import { facts, list, number, words } from './facts.ts';
import { editFile, findConfig, readConfigText } from './file.ts';
import { json, note, say } from './print.ts';
import { createBar } from './progress.ts';
import { reach } from './reach.ts';
import { verb } from './verb.ts';

const applyMs = 120_000; // as in config.ts: processes may have to start anew
const nodesMs = 15_000; // a node that sleeps takes its time; a dead one is given up by then

/** Schemas are packages: other verbs do without them. */
const models = () => Promise.all([import('../models/standing.ts'), import('./standing.ts')]);

export function modelsVerb(program: Command): void {
  const group = listVerb(program, 'models', 'providers, models, prices and what was spent; alone: `list`');
  listVerb(group, 'list', 'providers with what they hold, aliases, prices, and models that wait for a price');
  priceVerb(group);
  pullVerb(group);
  loginVerb(group);
  verb(
    group,
    'spend',
    'what each agent has used of its budgets, and when they begin anew',
    { json: true },
    (command) => command,
    async ({ home, json: asJson }) => {
      const answer = await reach(home).call('models', 'GET /standing', undefined, { timeoutMs: 5000 });
      if (asJson) json(facts(answer).agents ?? []);
      else {
        const [{ parseStanding }, { spendTable }] = await models();
        say(spendTable(parseStanding(answer)));
      }
      return exit.ok;
    },
  );
}

const listVerb = (under: Command, name: string, summary: string): Command =>
  verb(
    under,
    name,
    summary,
    { json: true },
    (command) => command,
    async ({ home, json: asJson }) => {
      const { config, running } = await configOf(home);
      const at = running ? reach(home) : undefined;
      const [{ parseStanding }, { priceJson, pricesOf, printModels }] = await models();
      const [standing, nodes] = await Promise.all([
        at?.call('models', 'GET /standing', undefined, { timeoutMs: 5000 }).then(parseStanding),
        at
          ?.call('models', 'GET /nodes', undefined, { timeoutMs: nodesMs })
          .then((answer) => list(facts(answer).nodes))
          .catch((error: unknown) => {
            // The rest of the list is worth having without what the nodes hold.
            note(
              `What the nodes hold is not known: ${error instanceof Error ? error.message : String(error)}`,
            );
            return [];
          }),
      ]);
      const prices = await pricesOf(config, standing, nodes ?? []);
      if (asJson)
        json({
          running,
          providers:
            standing?.providers ??
            Object.entries(config.providers).map(([provider, { kind }]) => ({ name: provider, kind })),
          nodes: nodes ?? [],
          models: config.models,
          prices: prices.map(priceJson),
          unpriced: standing?.unpriced ?? [],
        });
      else await printModels(config, standing, nodes ?? [], prices);
      return exit.ok;
    },
  );

function priceVerb(group: Command): void {
  type Given = { input?: number; output?: number; cached?: number; free?: true };
  verb<Given>(
    group,
    'price',
    'say what a model costs; it stands in holdfast.yaml then',
    { json: true },
    (command) =>
      command
        .argument('<provider/model>', 'or a pattern with *, such as openai/gpt-5*')
        .option('--input <usd>', 'USD per million input tokens', rate)
        .option('--output <usd>', 'USD per million output tokens', rate)
        .option('--cached <usd>', 'USD per million input tokens from its cache', rate)
        .option('--free', 'nothing: a model on a machine of your own'),
    async ({ home, json: asJson, ...given }, [name = '']) => {
      const { provider, model } = split(name);
      const price = priceFrom(given);
      const found = await findConfig(home);
      const done = (): void => say(`${visibleLine(name)} costs ${priceWords(price)}.`);
      if (!found.running) {
        const { setPrice } = await import('../config/pricing.ts');
        const version = await editFile(found, (text) => setPrice(text, provider, model, price));
        if (asJson) json({ version, live: [], restarted: [] });
        else {
          say(`${found.file} is changed; it takes effect at the next start.`);
          done();
        }
        return exit.ok;
      }
      const text = readConfigText(found.file);
      const body = { provider, model, price, ...(text === undefined ? {} : { text }) };
      const applied = facts(await reach(home).call('decide', 'POST /prices', body, { timeoutMs: applyMs }));
      if (asJson) json(applied);
      else {
        sayApplied(applied);
        done();
      }
      return exit.ok;
    },
  );
}

function pullVerb(group: Command): void {
  verb(
    group,
    'pull',
    'have an Ollama node fetch a model; Ctrl-C stops it',
    { json: true },
    (command) => command.argument('<provider>', 'of kind ollama').argument('<model>', 'such as llama3.2:3b'),
    async ({ home, json: asJson }, [provider = '', model = '']) => {
      const bar = createBar(process.stderr);
      for await (const line of reach(home).stream('models', 'POST /pull', { provider, model })) {
        const { status, completedBytes, totalBytes } = facts(line);
        if (asJson) process.stdout.write(`${JSON.stringify(line)}\n`);
        else bar.show(words(status), number(completedBytes), number(totalBytes));
      }
      bar.end();
      if (!asJson) say(`${visibleLine(provider)} has ${visibleLine(model)}.`);
      return exit.ok;
    },
  );
}

function loginVerb(group: Command): void {
  verb(
    group,
    'login',
    'log in at a provider: prints an address and a code, and waits until you have entered it',
    { json: true },
    (command) => command.argument('<provider>', 'with a `login` in holdfast.yaml'),
    async ({ home, json: asJson }, [provider = '']) => {
      for await (const line of reach(home).stream('models', 'POST /login', { provider })) {
        const event = facts(line);
        if (asJson) process.stdout.write(`${JSON.stringify(event)}\n`);
        else if (event.event === 'code') {
          say(`Open ${words(event.verificationUri)} and enter ${words(event.userCode)}`);
          note(`It is good until ${words(event.expiresAt)}. Waiting ...`);
        }
        if (event.event === 'done') {
          if (!asJson) say(`${visibleLine(provider)}: logged in.`);
          return exit.ok;
        }
      }
      throw new Problem('cut', 502, 'the login was cut off before its end', 'Begin it again.');
    },
  );
}

/** For a provider's money; a number of USD as it is printed on a price list. */
function rate(given: string): number {
  const value = Number(given);
  if (/^\d+(\.\d+)?$/.test(given) && value <= 1_000_000) return value;
  throw new InvalidArgumentError('It is a number of USD per million tokens, such as 0.25.');
}

function split(name: string): { provider: string; model: string } {
  const slash = name.indexOf('/');
  if (slash > 0 && slash < name.length - 1)
    return { provider: name.slice(0, slash), model: name.slice(slash + 1) };
  throw new Problem(
    'usage',
    400,
    `${visibleLine(name, 80)} is not PROVIDER/MODEL`,
    'See `holdfast models list`.',
  );
}

function priceFrom({
  input,
  output,
  cached,
  free,
}: {
  input?: number;
  output?: number;
  cached?: number;
  free?: true;
}): OwnPrice {
  const wrong = new Problem(
    'usage',
    400,
    'a price is --free, or --input with --output',
    'See `holdfast models price --help`.',
  );
  if (free) {
    if (input !== undefined || output !== undefined || cached !== undefined) throw wrong;
    return { free: true };
  }
  if (input === undefined || output === undefined) throw wrong;
  return {
    inputUsdPerMillion: input,
    outputUsdPerMillion: output,
    ...(cached === undefined ? {} : { cachedUsdPerMillion: cached }),
  };
}

const priceWords = (price: OwnPrice): string =>
  price.free
    ? 'nothing'
    : `${price.inputUsdPerMillion} USD in and ${price.outputUsdPerMillion} USD out per million tokens`;

async function configOf(home: string): Promise<{ config: Config; running: boolean }> {
  const found = await findConfig(home);
  const { parseConfig } = await import('../config.ts');
  const parsed = parseConfig(readConfigText(found.file) ?? '', found.file);
  if (!parsed.ok)
    throw new Problem('config', 422, `${found.file} has mistakes`, 'See `holdfast config check`.');
  return { config: parsed.config, running: found.running };
}
