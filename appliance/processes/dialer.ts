/** The dialer of one agent: started by the launcher in that world's network namespace. */
import { attend } from '../process.ts';
import { serveDialer } from '../world/dialer.ts';

const here = attend();
for (const door of here.doors('guest.')) await serveDialer({ listen: { fd: door.fd } });
await here.ready();
