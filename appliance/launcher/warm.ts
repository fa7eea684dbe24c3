/** Job: loads every composition root once, so that Node's compile cache holds our code with its types already stripped. Run in a view without network; the roots end at once, since nobody gave them doors. */
import { flushCompileCache } from 'node:module';
import { pathToFileURL } from 'node:url';

// A root that finds no doors throws; what it imports has been compiled by then, which is all we want.
for (const root of process.argv.slice(2)) await import(pathToFileURL(root).href).catch(() => {});
flushCompileCache();
process.exit(0);
