/** How things stand, gathered once for a page or for `holdfast status`, and the one true sentence about it. */
import type { Approval } from '../approvals/approval.ts';
import type { Inbox } from '../approvals/inbox.ts';
import { visibleLine } from '../view/visible.ts';
import { count } from '../view/words.ts';
import type { Arming, Keeper } from './keeper.ts';
import type { Launcher, Seen } from './launcher.ts';

export type Standing = { arming: Arming; seen: Seen; pending: Approval[]; nowMs: number };

export async function standing(
  parts: { keeper: Keeper; launcher: Launcher; inbox: Inbox },
  now: () => number,
): Promise<Standing> {
  const [arming, seen] = await Promise.all([parts.keeper.arming(), parts.launcher.status()]);
  return { arming, seen, pending: parts.inbox.pending(), nowMs: now() };
}

/** The worst comes first; only when nothing is wrong does it say that all is well. */
export function sentence({ arming, seen, pending }: Standing): string {
  const { status } = seen;
  if (arming.state === 'killed') return 'Everything is stopped, and stays stopped until you re-arm.';
  if (!arming.answers) return 'The keeper does not answer, so every door is closed.';
  if (arming.state === 'closed')
    return 'Every door is closed for now; they open when the keeper beats again.';
  if (!status) return 'The doors are armed, but the launcher does not answer, so what runs is not known.';
  const refused = status.worlds.find((world) => world.state === 'refused');
  if (refused) return `${visibleLine(refused.agent)} may not start, because its world cannot be sealed.`;
  const broken = status.processes.filter((each) => each.state === 'failed' || each.state === 'backing-off');
  if (broken.length > 0) {
    const names = broken.map((each) => visibleLine(each.name)).join(', ');
    return `${names} ${broken.length === 1 ? 'does' : 'do'} not stay up.`;
  }
  if (pending.length > 0) return `${count(pending.length, 'call waits', 'calls wait')} for your yes or no.`;
  if (
    status.worlds.some((world) => world.state === 'starting') ||
    status.processes.some((each) => each.state === 'starting')
  ) {
    return 'Holdfast is starting.';
  }
  const running = status.worlds
    .filter((world) => world.state === 'running')
    .map((world) => visibleLine(world.agent));
  if (running.length === 0) return 'No agent runs.';
  const who = `${running.join(', ')} ${running.length === 1 ? 'runs in a sealed world' : 'run in sealed worlds'}`;
  if (status.tools.state === 'installing') return `${who}; the tools are being set up.`;
  if (status.tools.state === 'missing') return `${who}, without tools so far.`;
  return `${who}, and nothing waits for you.`;
}
