/** A keeper's heart alone: beats on the inherited lease socket; a line on its standard input, `armed` or `killed`, is announced. Killed and stopped by test/invariants/08-no-lease-no-traffic.test.ts. */
import { createInterface } from 'node:readline';
import { createBeats } from '../../appliance/keeper/beats.ts';

let state: 'armed' | 'killed' = 'armed';
const beats = await createBeats(3, () => state);
createInterface({ input: process.stdin }).on('line', (said) => {
  if (said !== 'armed' && said !== 'killed') return;
  state = said;
  beats.announce(state);
});
process.stdin.once('end', () => process.exit(0));
process.stdout.write('beating\n');
