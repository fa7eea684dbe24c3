/** The type of a piece of a page: what a `html` template gives. */
import type { html } from 'hono/html';

export type Html = ReturnType<typeof html>;
