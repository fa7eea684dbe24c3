/** What the egress doors write to, given from outside: the ledger's append, and the log for faults. */

/** Resolves when the line is durable; when it rejects, the request is refused. */
export type Append = (line: Record<string, unknown>) => Promise<unknown>;

/** Faults, for the operator's eyes; never a secret, never a body. */
export type Log = (text: string, fields: Record<string, unknown>) => void;
