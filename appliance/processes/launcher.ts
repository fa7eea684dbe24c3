/** The launcher as a program: `holdfast up` becomes it. It checks what the launcher needs, starts everything, says where it is, and ends it all on a signal. `node:` and our own files only, as it may be root. */
import { parseArgs } from 'node:util';
import { needed } from '../../provisioning/packages.ts';
import { exit, exitFor } from '../cli/exit.ts';
import { defaultHome } from '../paths.ts';
import { Problem } from '../problem.ts';
import { type Up, up } from '../up.ts';
import { visible } from '../view/visible.ts';

const { values } = parseArgs({
  options: {
    home: { type: 'string', default: defaultHome() },
    config: { type: 'string' },
    'no-install': { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
});

const note = (line: string): void => void process.stderr.write(`${visible(line)}\n`);
const firstCodeWithinMs = 20_000; // the controller is up in two; a slow card may take ten

try {
  await findPackages();
  const running = await up({
    home: values.home,
    config: values.config,
    noInstall: values['no-install'],
    say: note,
  });
  let closing = false;
  const close = (): void => {
    if (closing) process.exit(exit.fault); // asked twice: leave at once, the reaper sweeps
    closing = true;
    note('ending everything ...');
    void running.close().then(
      () => process.exit(exit.ok),
      (error: unknown) => {
        note(String(error));
        process.exit(exit.fault);
      },
    );
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, close);
  const late = new Promise<undefined>((resolve) => {
    const soon = running.firstRun && !running.notRunning.some(({ name }) => name === 'controller');
    setTimeout(() => resolve(undefined), soon ? firstCodeWithinMs : 0).unref();
  });
  const setupCode = await Promise.race([running.setupCode, late]);
  announce(running, setupCode);
  if (setupCode === undefined && !values.json)
    void running.setupCode.then((code) => process.stdout.write(`setup code: ${code}\n`));
} catch (error) {
  note(`holdfast: ${error instanceof Error ? error.message : error}`);
  if (error instanceof Problem && error.hint !== '') note(error.hint);
  process.exitCode = exitFor(error);
}

async function findPackages(): Promise<void> {
  const found = needed(['bubblewrap', 'iproute2', 'util-linux']);
  if (found.missing.length === 0) return;
  const installed = values['no-install'] ? undefined : await found.install(note);
  if (installed?.ok) return;
  const names = found.missing.map((each) => `${each.package} (${each.why})`).join(', ');
  throw new Problem('missing', 503, `missing: ${names}`, `Install by hand: ${found.byHand}`);
}

/** The last lines of a start, for a person and for a script. */
function announce(running: Up, setupCode: string | undefined): void {
  const { home, controllerUrl: controller, chatUrl: chat, killed, notRunning } = running;
  const lines = values.json
    ? [
        JSON.stringify({
          home,
          controller,
          chat,
          killed,
          notRunning,
          ...(setupCode === undefined ? {} : { setupCode }),
        }),
      ]
    : [
        ...notRunning.map(({ name, why }) => visible(`does not run: ${name} (${why})`)),
        ...(killed ? [`KILLED: no agent runs until you re-arm, at ${controller}/killed`] : []),
        `home: ${home}`,
        `controller: ${controller}`,
        `chat: ${chat}`,
        ...(setupCode === undefined ? [] : [`setup code: ${setupCode}`]),
      ];
  process.stdout.write(`${lines.join('\n')}\n`);
}
