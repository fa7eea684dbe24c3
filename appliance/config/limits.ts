/** The schema of an agent's limits at its llm door. schema.ts puts it into the whole; the defaults are those of proxies/llm/spend/limits.ts. */
import { z } from 'zod';
import { defaultLimits } from '../../proxies/llm/spend/limits.ts';

/** `none` is written out: a line whose value was deleted must not take a limit away. */
const limit = (number: z.ZodNumber, byDefault: number | null) =>
  z
    .union([number, z.literal('none')])
    .default(byDefault ?? 'none')
    .transform((given) => (given === 'none' ? null : given));

const usd = z.number().min(0).max(1_000_000);
const count = (most: number): z.ZodNumber => z.number().int().min(1).max(most);

const trillion = 1_000_000_000_000;
const d = defaultLimits;

export const limits = z.strictObject({
  usdPerDay: limit(usd, d.usdPerDay).describe(
    'USD a day (UTC). Reserved before a request leaves; models that cost nothing go on after it is used up. `none` for no limit.',
  ),
  usdPerMonth: limit(usd, d.usdPerMonth).describe('USD a calendar month (UTC), or `none`.'),
  tokensPerDay: limit(count(trillion), d.tokensPerDay).describe(
    'Tokens a day (UTC) of models that are not free, input and output together, or `none`.',
  ),
  tokensPerMonth: limit(count(trillion), d.tokensPerMonth).describe(
    'The same for a calendar month (UTC), or `none`.',
  ),
  requestsPerMinute: limit(count(1_000_000), d.requestsPerMinute).describe(
    'Requests in any 60 seconds, or `none`.',
  ),
  tokensPerMinute: limit(count(trillion), d.tokensPerMinute).describe(
    'Tokens of every model in any 60 seconds, or `none`.',
  ),
  roundsPerTurn: limit(count(1_000_000), d.roundsPerTurn).describe(
    'Requests to a model within one turn of the chat, or `none`.',
  ),
  repeats: limit(count(1_000_000), d.repeats).describe(
    'How often the very same request may come in a row, within an hour, or `none`.',
  ),
  auditMbPerDay: limit(count(1_048_576), d.auditMbPerDay).describe(
    'What its requests may add to the ledger a day, in MiB, or `none`.',
  ),
  bodyMb: count(1024).default(d.bodyMb).describe('The largest request body, in MiB.'),
});
