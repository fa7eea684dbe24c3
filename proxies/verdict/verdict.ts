/** The outcome of a policy question. A refusal is a value with the rule and the way to allow it; a fault is an error. */
export type Verdict =
  | { allow: true; rule: string }
  | { allow: false; rule: string | null; reason: string; hint: string };

export type Refusal = Extract<Verdict, { allow: false }>;

export const allow = (rule: string): Verdict => ({ allow: true, rule });

export const refuse = (reason: string, hint: string, rule: string | null = null): Refusal => ({
  allow: false,
  rule,
  reason,
  hint,
});
