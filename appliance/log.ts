/** One JSON line on stdout per event; the launcher (or journald) collects them. `trail` lines also go to the operator-readable trail. */
export type Trail = 'changelog' | 'error' | 'docker' | 'report';

export type Log = {
  info(text: string, fields?: Record<string, unknown>): void;
  error(text: string, fields?: Record<string, unknown>): void;
  trail(where: Trail, sentence: string): void;
};

export function createLog(
  name: string,
  write: (line: string) => void = (line) => process.stdout.write(line),
): Log {
  const line = (fields: Record<string, unknown>): void =>
    write(`${JSON.stringify({ at: new Date().toISOString(), process: name, ...fields })}\n`);
  return {
    info: (text, fields) => line({ level: 'info', text, ...fields }),
    error: (text, fields) => line({ level: 'error', text, ...fields }),
    trail: (where, sentence) => line({ level: 'info', trail: where, text: sentence }),
  };
}
