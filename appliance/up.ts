/** The developer's launcher, behind `npm start`: makes the home, reads the configuration, builds the house from the manifest, and ends everything with itself. Called by cli/up.ts. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { compileFilter, machineArch } from '../sandbox/seccomp.ts';
import { readLatch } from './keeper/latch.ts';
import { prepareCache } from './launcher/cache.ts';
import { parseText, readConfig } from './launcher/configuration.ts';
import { serveLaunch } from './launcher/control.ts';
import { createHome, replaceFile, writeEtc } from './launcher/home.ts';
import { createHouse, type House, openRunFolder, ownRunRoot } from './launcher/house.ts';
import { holderOf, sayHolder } from './launcher/port.ts';
import { sweep } from './launcher/sweep.ts';
import { findDocker, startTools, type ToolsStatus } from './launcher/tools.ts';
import { addToTrail } from './launcher/trail.ts';
import { mayHoldKeys } from './manifest.ts';
import { socketGroup, warmUid } from './numbers.ts';
import { homePaths } from './paths.ts';
import { Problem } from './problem.ts';
import type { Config } from './settings.ts';
import { call } from './socket.ts';
import { findTrees, openCgroups } from './world/cgroup.ts';
import type { Ground } from './world/launch.ts';
import { base, bwrap } from './world/view.ts';

export type UpOptions = {
  home: string;
  /** Instead of `<home>/holdfast.yaml`. */
  config?: string | undefined;
  noInstall: boolean;
  /** Progress, one line each. */
  say(text: string): void;
};

export type Up = {
  /** Its real path. */
  home: string;
  /** It started killed, and so stays. */
  killed: boolean;
  controllerUrl: string;
  chatUrl: string;
  /** The first code that the controller shows on a first run. */
  setupCode: Promise<string>;
  firstRun: boolean;
  /** What does not run after the first round of starts, and why. It is tried again and again; `say` tells when it runs. */
  notRunning: { name: string; why: string }[];
  close(): Promise<void>;
};

const code = join(import.meta.dirname, '..');

const starting: ToolsStatus = { state: 'installing', phase: 'look', detail: 'starting' };
const noTools: ToolsStatus = {
  state: 'missing',
  detail: 'namespaces are forbidden here, so no process for tools may start',
  fix: '`holdfast doctor` says what to do.',
};

/** Throws a Problem: `config` with one mistake a line, `port-taken`, `already-running`, `planted`, `not-a-home`. */
export async function up(options: UpOptions): Promise<Up> {
  const startedAt = new Date().toISOString();
  mkdirSync(resolve(options.home), { recursive: true, mode: 0o711 });
  const paths = homePaths(options.home);
  const { instance, home, run } = paths;
  ownRunRoot(run); // a planted one is refused before anything in it is believed
  await refuseSecond(paths.socket('launch'), home);
  const firstRun = createHome(home);
  const configFile = options.config ? resolve(options.config) : join(home, 'holdfast.yaml');
  let config = await readConfig(code, configFile, options.config === undefined);
  await refuseTakenPorts(config);
  await sweep(paths);

  const root = process.getuid?.() === 0;
  openRunFolder(run);
  writeEtc(run);
  const filter = join(run, 'filter.bpf');
  writeFileSync(filter, compileFilter(machineArch()));
  const trees = root ? findTrees() : null;
  const ground: Ground = {
    mode: root ? 'root' : 'user',
    home,
    run,
    code,
    cgroups: trees ? openCgroups(trees, instance) : null,
    filter,
    cache: null,
  };
  const reaper = spawn(
    'sh',
    [
      join(code, 'appliance/launcher/reaper.sh'),
      process.execPath,
      join(code, 'appliance/launcher/sweep.ts'),
      instance,
      run,
    ],
    {
      stdio: ['pipe', 'ignore', 'ignore'],
      env: {
        PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
        ...(process.env.XDG_RUNTIME_DIR ? { XDG_RUNTIME_DIR: process.env.XDG_RUNTIME_DIR } : {}),
      },
      detached: true,
    },
  );
  reaper.unref();

  const walled = canBuildViews(ground);
  if (walled) ground.cache = await prepareCache(ground, warmUid(config, instance), options.say);

  let killed = readLatch(join(home, 'latch')).state === 'killed';
  let giveCode: (code: string) => void = () => {};
  const setupCode = new Promise<string>((given) => {
    giveCode = given;
  });
  let codeGiven = false;
  const house = createHouse({
    ground,
    instance,
    walled,
    docker: findDocker,
    trail: (where, sentence) => addToTrail(home, where, sentence),
    setupCode: (fresh) => {
      giveCode(fresh);
      if (codeGiven) options.say(`setup code: ${fresh}`);
      codeGiven = true;
    },
    say: options.say,
  });
  const controllerUrl = `http://127.0.0.1:${config.controller.port}`;
  const chatUrl = `http://localhost:${config.chat.port}`;
  let tools: ReturnType<typeof startTools> | undefined;
  await serveLaunch({
    path: paths.socket('launch'),
    gid: socketGroup(config, instance, 'launch'),
    root,
    instance,
    house,
    killed: () => killed,
    setKilled: (now) => {
      killed = now;
      options.say(
        now
          ? `KILLED: everything is stopped until you re-arm, at ${controllerUrl}/killed or by \`holdfast rearm --reason TEXT\``
          : 're-arming',
      );
    },
    config: () => config,
    configText: () => readFileSync(configFile, 'utf8'),
    // Without walls there is no view to parse in, and no guest, proxy or key either.
    parse: (text) =>
      walled
        ? parseText(ground, warmUid(config, instance), configFile, text)
        : Promise.reject(
            new Problem('no-walls', 503, 'a change cannot be applied here', 'Edit the file and start again.'),
          ),
    setConfig: (next, text) => {
      config = next;
      replaceFile(configFile, text, 0o644);
    },
    status: () => {
      const processes = house.processes();
      const keeper = processes.find((each) => each.name === 'keeper');
      const armed = keeper?.state === 'running' ? 'armed' : 'closed';
      return {
        instance,
        home,
        mode: ground.mode,
        startedAt,
        version: house.version(),
        state: killed ? 'killed' : armed,
        controllerUrl,
        chatUrl,
        configFile,
        processes,
        worlds: house.worlds(),
        tools: tools?.status() ?? (walled ? starting : noTools),
      };
    },
  });
  const keyed = Object.entries(config.providers).flatMap(([name, { key }]) =>
    key === undefined ? [] : [name],
  );
  if (keyed.length > 0 && !mayHoldKeys(config, ground.mode)) {
    options.say(
      `keys: not used for ${keyed.join(', ')}, because an ordinary user starts Holdfast. Your explicit yes is \`ordinaryUser: { holdKeys: true }\` in ${configFile}; or run it as root.`,
    );
  }
  addToTrail(home, 'changelog', `holdfast starts (${ground.mode} mode, instance ${instance})`);
  await house.apply(config, { killed, awaitGuests: true });
  addToTrail(home, 'report', startReport(house, killed));
  if (walled) {
    tools = startTools({ code, run, noInstall: options.noInstall }, options.say);
    // Docker may have come just now: the broker then gets its socket.
    void tools.done
      .then(() => house.apply(config, { killed }))
      .catch((error: unknown) => options.say(`tools: ${error}`));
  } else {
    const why = house.worlds().map(({ agent, why: reason }) => `${agent} was not started: ${reason}`);
    options.say(`the pages alone run, as namespaces are forbidden here. ${why.join('; ')}`);
    options.say('`holdfast doctor` says what to do.');
  }

  return {
    home,
    killed,
    controllerUrl,
    chatUrl,
    setupCode,
    firstRun,
    notRunning: house
      .processes()
      .flatMap(({ name, state, why }) =>
        state === 'running' ? [] : [{ name, why: why === undefined ? state : `${state}: ${why}` }],
      ),
    async close() {
      tools?.stop();
      await house.close();
      addToTrail(home, 'changelog', 'holdfast ends');
      const gone = new Promise((resolveGone) => reaper.once('exit', resolveGone));
      reaper.stdin?.end(); // it sweeps what is left: containers, an own dockerd, the run folder
      await Promise.race([gone, new Promise((resolveGone) => setTimeout(resolveGone, 15_000))]);
    },
  };
}

/** What a start gave, in one line for the owner's daily report. */
function startReport(house: House, killed: boolean): string {
  const running = house.processes().filter((each) => each.state === 'running');
  const worlds = house.worlds().map(({ agent, state, why }) => `${agent} ${state}${why ? ` (${why})` : ''}`);
  const state = killed ? 'killed, waiting for a re-arm' : 'armed';
  return `started ${state}: ${running.length} processes run; agents: ${worlds.join(', ') || 'none'}`;
}

async function refuseSecond(launchSocket: string, home: string): Promise<void> {
  // Nobody there is what is hoped for.
  const running = await call(launchSocket, 'GET /status', undefined, { timeoutMs: 2000 }).catch(() => null);
  if (running)
    throw new Problem(
      'already-running',
      409,
      `a Holdfast already runs from ${home}`,
      'End it, or choose another folder: --home DIR.',
    );
}

async function refuseTakenPorts(config: Config): Promise<void> {
  const wanted: [string, number][] = [
    ['controller', config.controller.port],
    ['chat', config.chat.port],
    ...(config.metrics.port === undefined ? [] : [['metrics', config.metrics.port] as [string, number]]),
  ];
  for (const [name, port] of wanted) {
    const free = await new Promise<boolean>((resolveFree) => {
      const server = createServer();
      server.once('error', () => resolveFree(false));
      server.listen({ host: '127.0.0.1', port, exclusive: true }, () =>
        server.close(() => resolveFree(true)),
      );
    });
    if (free) continue;
    throw new Problem(
      'port-taken',
      409,
      sayHolder(port, holderOf(port)),
      `End it, or choose another port in holdfast.yaml: ${name}: { port: N }.`,
    );
  }
}

/** Can bubblewrap build any view at all here? Where it cannot, the pages start bare and say so. */
function canBuildViews(ground: Ground): boolean {
  const args = bwrap(ground.mode, {
    mounts: base,
    env: { PATH: '/usr/bin' },
    cwd: '/',
    unshareNetwork: true,
    uid: ground.mode === 'root' ? 65534 : 1000,
    gid: ground.mode === 'root' ? 65534 : 1000,
    groups: [],
    seccompFd: null,
  });
  return (
    spawnSync(args[0] ?? '', [...args.slice(1), 'true'], {
      stdio: 'ignore',
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
    }).status === 0
  );
}
