/** What the owner should look at, each said once: models that nobody has priced, keys that are refused. Fed by the doors, shown by the operator's page and `holdfast models`. */

export type Notice =
  /** `asked`: the alias that led there. */
  | { kind: 'unpriced'; agent: string; provider: string; model: string; asked?: string }
  | { kind: 'key-refused'; agent: string; provider: string; model: string | null; status: number };

export type Notices = {
  tell(notice: Notice): void;
  /** Oldest first. */
  standing(): (Notice & { at: string })[];
  /** The configuration has changed: what was true of it may be so no more. What still is comes back by itself. */
  forget(): void;
};

/** Of one agent and one kind: a model's name is the agent's to choose, and its hundredth must not hide another agent's first. */
const most = 20;

/** `say` gets one sentence for the trail, the first time. A model without a price waits for the owner, so it is for the report; a key that is refused is an error. */
export function createNotices(
  say: (text: string, where: 'report' | 'error') => void,
  now: () => Date = () => new Date(),
): Notices {
  const told = new Map<string, Notice & { at: string }>();
  return {
    tell(notice) {
      const key = JSON.stringify([notice.kind, notice.provider, notice.model]);
      if (told.has(key)) return;
      const alike = [...told.values()].filter(
        ({ agent, kind }) => agent === notice.agent && kind === notice.kind,
      );
      if (alike.length >= most) return;
      told.set(key, { ...notice, at: now().toISOString() });
      say(sentence(notice), notice.kind === 'unpriced' ? 'report' : 'error');
    },
    standing: () => [...told.values()],
    forget: () => told.clear(),
  };
}

function sentence(notice: Notice): string {
  const model = notice.model === null ? 'a model' : short(notice.model);
  const by =
    notice.kind === 'unpriced' && notice.asked !== undefined ? `${short(notice.asked)}, which leads to ` : '';
  return notice.kind === 'unpriced'
    ? `${notice.agent} asked for ${by}${model} of ${notice.provider}, which has no price: it is refused until the owner says one (\`holdfast models price\`)`
    : `${notice.provider} answered ${notice.status} to ${notice.agent}: the key is wrong, or it may not use ${model}`;
}

const short = (name: string): string => JSON.stringify(name.slice(0, 120));
