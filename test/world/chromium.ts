/** A real Chromium with JavaScript off and a new, empty profile. Every test that needs what only a browser decides starts it here. */
import { existsSync } from 'node:fs';
import { type BrowserContext, chromium } from 'playwright-core';

/** Debian's; elsewhere the two names that the set-up accepts. */
const executables = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/** An empty name of a profile is a folder of its own, removed at the end. The caller closes it. */
export async function launchChromium(profile = ''): Promise<BrowserContext> {
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: executables.find((path) => existsSync(path)) ?? 'chromium',
    headless: true,
    javaScriptEnabled: false,
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
  context.setDefaultTimeout(15_000);
  return context;
}
