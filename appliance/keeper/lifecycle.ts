/** The states of the box and what leads from one to the next. Every doubtful edge leads to killed. The keeper asks; the pages show it. */
export type State = 'armed' | 'tripping' | 'killed' | 'rearming';
export type Event = 'trip' | 'tripped' | 'rearm' | 'rearmed' | 'failed';

export const table: Record<State, Partial<Record<Event, State>>> = {
  armed: { trip: 'tripping', failed: 'tripping' },
  tripping: { trip: 'tripping', tripped: 'killed', failed: 'killed' },
  killed: { trip: 'tripping', rearm: 'rearming' },
  rearming: { trip: 'tripping', rearmed: 'armed', failed: 'killed' },
};

/** null: the event has no place in this state, and the caller says so. */
export const next = (state: State, event: Event): State | null => table[state][event] ?? null;

/** Beats are sent in this state alone. */
export const beating = (state: State): boolean => state === 'armed';
