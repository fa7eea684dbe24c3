/** Why a turn of the built-in agent cannot go on, in words for the operator. Thrown by model.ts and server.ts; becomes an OpenAI error object. */
export class Failure extends Error {
  readonly code: string;
  readonly status: number;

  constructor(code: string, status: number, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'Failure';
    this.code = code;
    this.status = status;
  }
}

export type ErrorObject = { error: { message: string; type: string; code: string; param: null } };

/** The shape that every OpenAI client reads: https://platform.openai.com/docs/guides/error-codes */
export function asErrorObject(error: unknown): ErrorObject {
  const failure =
    error instanceof Failure ? error : new Failure('fault', 500, `the agent broke: ${plain(error)}`, error);
  return {
    error: { message: failure.message, type: 'holdfast_agent', code: failure.code, param: null },
  };
}

/** undici says "fetch failed" and keeps the reason in the cause. */
export function plain(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause;
  if (!(cause instanceof Error)) return error.message;
  const { code } = cause as { code?: unknown };
  return typeof code === 'string' ? code : cause.message || error.message;
}
