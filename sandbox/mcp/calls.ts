/** What the tools of one agent do, whatever protocol asked: wait with the caller, park a question that outlasts it, answer in text. Called by server.ts. */
import type { Question, Shell, ShellEvent } from '../shell.ts';

/** The one who called, as long as it is there. */
export type Caller = {
  signal: AbortSignal;
  /** Keeps the call alive at the other end; undefined for a caller that did not ask to be told. */
  progress: ((message: string) => void) | undefined;
  /** The session of the older protocol, undefined in the newer, which has none. */
  session: string | undefined;
};

export type Result = { text: string; isError: boolean };

export type Calls = {
  shell(args: { command: string; timeoutSeconds?: number | undefined }, caller: Caller): Promise<Result>;
  approvalResult(id: string, caller: Caller): Promise<Result>;
  /** Withdraws what this session left waiting. */
  sessionGone(session: string): void;
  /** Withdraws everything: the door closes. */
  close(): void;
};

export type Waits = {
  /** Both SDKs' clients give up after 60 s without a word. */
  progressMs: number;
  /** A caller that takes no progress gets an answer before its 60 s are over. */
  answerMs: number;
  /** A question that was decided stays this long past its expiry for someone to come and read the answer. */
  lingerMs: number;
};
const usualWaits: Waits = { progressMs: 10_000, answerMs: 50_000, lingerMs: 60_000 };

/** More than the controller lets one agent ask at a time; each is a few hundred bytes. */
const maxParked = 64;

export function createCalls(parts: {
  agent: string;
  shell: Shell;
  report: (text: string, error: unknown) => void;
  now: () => number;
  waits?: Waits;
}): Calls {
  const { agent, shell, report, now, waits = usualWaits } = parts;
  const parked = new Map<
    string,
    { question: Question; session: string | undefined; timer: NodeJS.Timeout }
  >();

  const unpark = (id: string): Question | undefined => {
    const found = parked.get(id);
    clearTimeout(found?.timer);
    parked.delete(id);
    return found?.question;
  };

  function park(question: Question, session: string | undefined): void {
    const [oldest] = parked.keys();
    if (parked.size >= maxParked && oldest !== undefined) unpark(oldest)?.withdraw('too many calls wait');
    const left = Date.parse(question.expiresAt) - now() + waits.lingerMs;
    const timer = setTimeout(() => unpark(question.id)?.withdraw('nobody came for it'), left);
    timer.unref();
    parked.set(question.id, { question, session, timer });
  }

  /** Stays with the question as long as the caller stays with us. Here, and nowhere else, an approved call runs. */
  async function attend(question: Question, caller: Caller): Promise<Result> {
    const { signal, progress } = caller;
    let doing = `waiting for approval ${question.id}`;
    const ticking = progress && setInterval(() => progress(doing), waits.progressMs);
    try {
      progress?.(doing);
      const decided = progress !== undefined || (await within(waits.answerMs, question.decided, signal));
      if (!decided && !signal.aborted) {
        park(question, caller.session);
        return waiting(question);
      }
      const transcript = createTranscript();
      for await (const event of question.settle(signal)) {
        if (event.event === 'started') doing = 'running';
        transcript.add(event);
      }
      return transcript.result();
    } finally {
      clearInterval(ticking);
    }
  }

  /** A fault's own words are for the operator: they may hold paths and bytes of others. */
  const guarded = (result: Promise<Result>): Promise<Result> =>
    result.catch((error: unknown) => {
      report('a tool call failed', error);
      return { text: 'an internal fault; the operator finds it in the error log', isError: true };
    });

  async function ask(args: { command: string }, caller: Caller): Promise<Result> {
    const asked = await shell.ask({ agent, by: `agent ${agent}`, ...args });
    if ('allow' in asked) return { text: refusal(asked.reason, asked.hint), isError: true };
    return attend(asked, caller);
  }

  return {
    shell: (args, caller) => guarded(ask(args, caller)),
    async approvalResult(id, caller) {
      const question = unpark(id);
      if (question) return guarded(attend(question, caller));
      const text = refusal(
        `no call of ${agent} waits for approval ${id}`,
        'It was answered before, withdrawn, or is too old. Call shell again.',
      );
      return { text, isError: true };
    },
    sessionGone(session) {
      for (const [id, each] of [...parked]) {
        if (each.session === session) unpark(id)?.withdraw('the session that asked has ended');
      }
    },
    close() {
      for (const id of [...parked.keys()]) unpark(id)?.withdraw('the tools door was closed');
    },
  };
}

const refusal = (reason: string, hint: string): string => `refused: ${reason}. ${hint}`;

const waiting = ({ id, expiresAt }: Question): Result => ({
  text: `waiting for approval ${id}; call approval_result with this id. Without a yes before ${expiresAt} it is refused.`,
  isError: false,
});

/** True when it was decided in time, false when time or caller went first. */
function within(ms: number, decided: Promise<unknown>, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    const over = (): void => {
      clearTimeout(timer);
      resolve(false);
    };
    const timer = setTimeout(over, ms);
    signal.addEventListener('abort', over, { once: true });
    if (signal.aborted) over();
    void decided.then(() => {
      clearTimeout(timer);
      signal.removeEventListener('abort', over);
      resolve(true);
    });
  });
}

/** Both outputs in the order they came, and how it ended. The broker has limited their size. */
function createTranscript(): { add(event: ShellEvent): void; result(): Result } {
  let output = '';
  let end: Result = { text: 'the run was cut off before its end', isError: true };
  return {
    add(event) {
      if (event.event === 'output') output += event.text;
      else if (event.event === 'refused') end = { text: refusal(event.reason, event.hint), isError: true };
      else if (event.event === 'exit') end = { text: ending(event), isError: event.timedOut || event.oom };
    },
    result: () => ({
      ...end,
      text: `${output}${output === '' || output.endsWith('\n') ? '' : '\n'}[${end.text}]`,
    }),
  };
}

function ending({ code, timedOut, oom, ms }: Extract<ShellEvent, { event: 'exit' }>): string {
  if (timedOut) return `stopped at its time limit after ${ms} ms, exit code ${code}`;
  if (oom) return `it ran out of memory, exit code ${code}, ${ms} ms`;
  return `exit code ${code}, ${ms} ms`;
}
