/** Short names for the fakes in this folder. */
import { Problem } from '../../appliance/problem.ts';

export type { Question } from '../../appliance/socket.ts';

export const problem = (code: string, status: number, message: string, hint: string): Problem =>
  new Problem(code, status, message, hint);
