/** One command in the sandbox as the words of a turn. say.ts begins it for `/run`; the tools process asks for the operator's yes. */
import { Problem } from '../problem.ts';
import type { Neighbours, Run, RunEvent } from './neighbours.ts';
import { createPlaintext } from './plaintext.ts';
import type { Source } from './turn.ts';

const maxOutputChars = 512 * 1024; // the broker cuts earlier; this is for what is not the broker

export const runSource = (neighbours: Pick<Neighbours, 'run'>, run: Run): Source =>
  async function* output(signal) {
    const plain = createPlaintext();
    let chars = 0;
    for await (const event of neighbours.run(run, signal)) {
      if (event.event === 'output' && chars < maxOutputChars) {
        const text = plain.feed(event.text);
        chars += text.length;
        yield { text };
      } else if (event.event === 'refused') {
        throw new Problem('run-refused', 403, event.reason, event.hint);
      } else if (event.event === 'exit') {
        yield { note: ended(event) };
        return;
      }
    }
    throw new Problem(
      'run-cut',
      502,
      'the run was cut off before its end',
      'Look at the state with /status.',
    );
  };

function ended({ code, timedOut, oom, ms }: Extract<RunEvent, { event: 'exit' }>): string {
  const took = ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
  if (timedOut) return `Stopped at its time limit, after ${took}.`;
  if (oom) return `Stopped at its memory limit, after ${took}.`;
  return code === null ? `Ended by a signal after ${took}.` : `Exit code ${code} after ${took}.`;
}
