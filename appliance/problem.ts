/** A fault with a stable code, an HTTP status and what to do about it. Everyone throws it; it becomes problem+json (RFC 9457) here and nowhere else. */
export class Problem extends Error {
  readonly code: string;
  readonly status: number;
  readonly hint: string;

  constructor(code: string, status: number, message: string, hint: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'Problem';
    this.code = code;
    this.status = status;
    this.hint = hint;
  }
}

export type ProblemJson = { type: string; status: number; title: string; hint: string };

/** What a client may see. An unexpected error gives its code only: messages can carry paths and bytes of others. */
export function asProblemJson(error: unknown): ProblemJson {
  if (error instanceof Problem) {
    return { type: `holdfast:${error.code}`, status: error.status, title: error.message, hint: error.hint };
  }
  return {
    type: 'holdfast:fault',
    status: 500,
    title: 'an internal fault',
    hint: 'Look at shared/logs/errors/ERROR-LOG.md.',
  };
}

/** The way back: an answer of another process of ours becomes the Problem that it was. */
export function fromProblemJson(json: unknown, status: number): Problem {
  const seen = (typeof json === 'object' && json !== null ? json : {}) as Partial<ProblemJson>;
  const code = typeof seen.type === 'string' ? seen.type.replace(/^holdfast:/, '') : 'fault';
  return new Problem(code, status, String(seen.title ?? `answered ${status}`), String(seen.hint ?? ''));
}
