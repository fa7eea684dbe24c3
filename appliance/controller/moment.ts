/** A point in time as another process of ours writes it, ISO 8601 or ms since the epoch; ms inside. Schemas of answers use it. */
import { z } from 'zod';

export const moment = z
  .union([z.number(), z.iso.datetime().transform((text) => Date.parse(text))])
  .describe('ms since the epoch, or ISO 8601 in UTC');
