/** The launcher as the controller sees it: what runs, and where a new configuration goes. Pages and decide.ts ask here; the answer is parsed at this edge. */
import { z } from 'zod';
import { call } from '../socket.ts';
import { moment } from './moment.ts';

const processSchema = z.object({
  name: z.string(),
  state: z.enum(['starting', 'running', 'backing-off', 'stopped', 'failed']),
  pid: z.number().nullish(),
  uid: z.number().nullish(),
  sinceMs: z.number().describe('ms since the epoch'),
  restarts: z.number(),
  why: z.string().optional(),
});

const wallSchema = z.object({
  wall: z.string(),
  state: z
    .enum(['stands', 'missing', 'absent'])
    .describe('absent: a limit that an ordinary user cannot have'),
  detail: z.string(),
  fix: z.string().optional(),
});

const worldSchema = z.object({
  agent: z.string(),
  state: z.enum(['running', 'refused', 'stopped', 'backing-off', 'starting']),
  why: z.string().optional(),
  walls: z.array(wallSchema),
});

const statusSchema = z.object({
  instance: z.string(),
  home: z.string(),
  mode: z.enum(['root', 'user']),
  startedAt: moment,
  version: z.string(),
  state: z.enum(['armed', 'closed', 'killed']),
  controllerUrl: z.string(),
  chatUrl: z.string(),
  processes: z.array(processSchema),
  worlds: z.array(worldSchema),
  tools: z.object({
    state: z.enum(['ready', 'installing', 'missing']),
    phase: z.string().optional(),
    detail: z.string().optional(),
    fix: z.string().optional(),
  }),
});
export type Status = z.infer<typeof statusSchema>;

const appliedSchema = z.object({
  version: z.string(),
  live: z.array(z.string()).default([]),
  restarted: z.array(z.string()).default([]),
});
const textSchema = z.object({ text: z.string() });
export type Applied = z.infer<typeof appliedSchema>;

/** Without an answer the pages say why and work on, the kill first of all. */
export type Seen = { status: Status } | { status: null; why: string };

export type Launcher = {
  status(): Promise<Seen>;
  /** The owner's file as it stands. Only the launcher knows where it is. */
  configText(): Promise<string>;
  /** Takes effect at once where it can; `text` is written to the owner's file when it took effect. */
  apply(text: string): Promise<Applied>;
};

const askMs = 1_500;
const applyMs = 120_000; // processes may have to start anew

export function createLauncher(socket: string): Launcher {
  return {
    async status() {
      try {
        const answer = await call(socket, 'GET /status', undefined, { timeoutMs: askMs });
        return { status: statusSchema.parse(answer) };
      } catch (error) {
        const strange = error instanceof z.ZodError;
        return {
          status: null,
          why: strange
            ? 'The launcher says something that is not understood.'
            : 'The launcher does not answer.',
        };
      }
    },
    configText: async () =>
      textSchema.parse(await call(socket, 'GET /config', undefined, { timeoutMs: askMs })).text,
    apply: async (text) =>
      appliedSchema.parse(await call(socket, 'POST /config', { text }, { timeoutMs: applyMs })),
  };
}
