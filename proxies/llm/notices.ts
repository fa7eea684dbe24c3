/** What the owner should look at, each said once: models that nobody has priced, keys that are refused. Fed by the doors, shown by the operator's page and `holdfast models`. */

export type Notice =
  | { kind: 'unpriced'; agent: string; provider: string; model: string }
  | { kind: 'key-refused'; agent: string; provider: string; model: string | null; status: number };

export type Notices = {
  tell(notice: Notice): void;
  /** Oldest first. */
  standing(): (Notice & { at: string })[];
  /** The configuration has changed: what was true of it may be so no more. What still is comes back by itself. */
  forget(): void;
};

/** A model's name is an agent's to choose: past this many nobody reads them, and memory has an end. */
const most = 100;

/** `say` gets one sentence for the trail, the first time. */
export function createNotices(say: (text: string) => void, now: () => Date = () => new Date()): Notices {
  const told = new Map<string, Notice & { at: string }>();
  return {
    tell(notice) {
      const key = JSON.stringify([notice.kind, notice.provider, notice.model]);
      if (told.has(key) || told.size >= most) return;
      told.set(key, { ...notice, at: now().toISOString() });
      say(sentence(notice));
    },
    standing: () => [...told.values()],
    forget: () => told.clear(),
  };
}

function sentence(notice: Notice): string {
  const model = notice.model === null ? 'a model' : JSON.stringify(notice.model.slice(0, 120));
  return notice.kind === 'unpriced'
    ? `${notice.agent} asked for ${model} of ${notice.provider}, which has no price: it is refused until the owner says one (\`holdfast models price\`)`
    : `${notice.provider} answered ${notice.status} to ${notice.agent}: the key is wrong, or it may not use ${model}`;
}
