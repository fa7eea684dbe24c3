/** The table of what runs: a pure function of the configuration. The launcher starts from it and the systemd units are rendered from it. */
import { chainOf, linkOf } from '../proxies/llm/route/chain.ts';
import { agentUid, guard, placeUid, socketGroup } from './numbers.ts';
import { type Circumstances, type Door, type Entry, type Manifest, type Process, processRow } from './row.ts';
import { type AgentConfig, type Config, digestOf } from './settings.ts';

export function manifest(config: Config, at: Circumstances): Manifest {
  guard(config, at.instance);
  const uid = (place: string): number => placeUid(config, at.instance, place);
  const group = (name: string): number => socketGroup(config, at.instance, name);
  const agents = Object.keys(config.agents);
  // A killed box has no worlds at all: their doors, dialers and guests are not in the table.
  const worlds = at.killed ? [] : agents;
  const ownUid = (agent: string): number => agentUid(config, at.instance, at.agentNumbers[agent] ?? 0);
  const ownerOf = (agent: string): { uid: number; gid: number } =>
    at.mode === 'user' ? at.owner : { uid: ownUid(agent), gid: ownUid(agent) };
  const version = digestOf(config);
  const keysHeld = !at.killed && mayHoldKeys(config, at.mode);
  const socket = (name: string, servedBy: string): Door => ({ name, in: 'host', listen: 'path', servedBy });

  const doors: Door[] = [
    ...worlds.flatMap((agent): Door[] => [
      { name: `llm.${agent}`, in: agent, listen: '127.0.0.1:9090', servedBy: 'llm' },
      { name: `egress.${agent}`, in: agent, listen: '127.0.0.1:3128', servedBy: 'egress' },
      { name: `names.${agent}`, in: agent, listen: 'udp:127.0.0.53:53', servedBy: 'egress' },
      { name: `tcp.${agent}.443`, in: agent, listen: '0.0.0.0:443', servedBy: 'egress' },
      { name: `tcp.${agent}.80`, in: agent, listen: '0.0.0.0:80', servedBy: 'egress' },
      { name: `tools.${agent}`, in: agent, listen: '127.0.0.1:9091', servedBy: 'tools' },
      socket(`guest.${agent}`, `dialer@${agent}`),
    ]),
    { name: 'controller', in: 'host', listen: `127.0.0.1:${config.controller.port}`, servedBy: 'controller' },
    { name: 'gateway', in: 'host', listen: `127.0.0.1:${config.chat.port}`, servedBy: 'gateway' },
    socket('lease', 'keeper'),
    socket('trip', 'keeper'),
    socket('rearm', 'keeper'),
    socket('ask', 'controller'),
    socket('decide', 'controller'),
    socket('session', 'controller'),
    socket('run', 'tools'),
    socket('broker', 'broker'),
    socket('turn', 'gateway'),
    socket('turns', 'llm'),
    socket('models', 'llm'),
    ...(config.metrics.port === undefined
      ? []
      : [{ name: 'metrics', in: 'host', listen: `127.0.0.1:${config.metrics.port}`, servedBy: 'llm' }]),
  ];

  const row = (name: string, rest: Partial<Process>): Process =>
    processRow(name, { uid: uid(name), ...rest });
  const folder = (path: string, mode = 0o700): Entry => ({ path, kind: 'folder', mode });
  /** The file that is written, and the folder of its segments that are put away; the audit group reads both. */
  const ledger = (name: string): Entry[] => [
    { path: `audit/${name}.jsonl`, kind: 'file', mode: 0o640 },
    folder(`audit/${name}`, 0o750),
  ];
  const resolver = [
    '/etc/resolv.conf',
    '/etc/hosts',
    '/etc/nsswitch.conf',
    '/etc/ssl',
    '/etc/ca-certificates',
  ];

  const processes: Process[] = [
    row('keeper', {
      // Root, without any capability: cgroup files are root's, and a press must not wait for anybody else.
      uid: 0,
      controls: ['launch'],
      reads: [folder('audit', 0o711)],
      writes: [{ path: 'latch', kind: 'file', mode: 0o600 }, ...ledger('keeper'), folder('keeper')],
      machine: ['cgroup'],
      part: { instance: at.instance, agents },
      memoryMb: 128,
    }),
    row('broker', {
      controls: ['lease'],
      reads: [{ path: 'keys', kind: 'folder', mode: 0o755 }],
      writes: [folder('broker')],
      machine: at.docker ? [at.docker.socket] : [],
      groups: at.docker ? [at.docker.gid] : [],
      needs: ['keeper'],
      part: {
        instance: at.instance,
        workspaces: Object.fromEntries(
          agents.map((agent) => [agent, `${at.home}/agents/${agent}/workspace`]),
        ),
        uids: Object.fromEntries(agents.map((agent) => [agent, ownerOf(agent)])),
        memoryMb: config.tools.memoryMb,
        pids: config.tools.pids,
        outputKb: config.tools.outputKb,
        dockerSocket: at.docker?.socket ?? null,
      },
    }),
    row('controller', {
      controls: ['trip', 'rearm', 'launch', 'models'],
      reads: [folder('audit', 0o711)],
      writes: [folder('controller'), folder('secrets/controller'), folder('keys', 0o755), ...ledger('acts')],
      part: {
        instance: at.instance,
        mode: at.mode,
        controllerPort: config.controller.port,
        chatPort: config.chat.port,
        agents,
        waitSeconds: config.approvals.waitSeconds,
        providers: Object.entries(config.providers).map(([name, each]) => ({
          name,
          kind: each.kind,
          hasKey: each.key !== undefined && at.keys.includes(each.key),
          login: each.login !== undefined,
        })),
      },
      needs: ['keeper'],
      memoryMb: 384,
    }),
    row('llm', {
      network: 'host',
      controls: ['lease'],
      // Logins are written by llm itself, so they stand beside the keys and not among them; spools hold bodies that are on their way.
      writes: [...ledger('traffic'), folder('llm'), ...(keysHeld ? [folder('secrets/llm-logins')] : [])],
      machine: resolver,
      secrets: keysHeld ? 'llm' : null,
      part: {
        keysHeld,
        providers: config.providers,
        models: config.models,
        agents: Object.fromEntries(agents.map((agent) => [agent, llmAgent(config.agents[agent])])),
        metricsPort: config.metrics.port ?? null,
      },
      needs: ['keeper'],
      memoryMb: 512,
    }),
    row('egress', {
      network: 'host',
      controls: ['lease'],
      writes: ledger('egress'),
      machine: resolver,
      part: {
        agents: Object.fromEntries(
          agents.map((agent) => [agent, { egress: config.agents[agent]?.egress ?? [] }]),
        ),
        ownPorts: [
          config.controller.port,
          config.chat.port,
          ...(config.metrics.port === undefined ? [] : [config.metrics.port]),
        ],
      },
      needs: ['keeper'],
    }),
    row('tools', {
      controls: ['lease', 'ask', 'broker'],
      writes: ledger('tools'),
      part: {
        agents,
        waitSeconds: config.approvals.waitSeconds,
        timeoutSeconds: config.tools.timeoutSeconds,
        outputKb: config.tools.outputKb,
      },
      needs: ['keeper', 'controller', 'broker'],
      memoryMb: 384,
    }),
    row('gateway', {
      controls: ['trip', 'ask', 'session', 'run', 'turns', ...agents.map((agent) => `guest.${agent}`)],
      writes: [folder('gateway')],
      part: {
        instance: at.instance,
        home: at.home,
        controllerPort: config.controller.port,
        chatPort: config.chat.port,
        waitSeconds: config.approvals.waitSeconds,
        providers: Object.entries(config.providers).map(([name, each]) => ({
          name,
          kind: each.kind,
          baseUrl: each.baseUrl,
          key: each.key,
        })),
        agents: Object.fromEntries(agents.map((agent) => [agent, gatewayAgent(config, agent, at)])),
      },
      needs: ['keeper', 'controller'],
      memoryMb: 384,
    }),
    ...worlds.flatMap((agent): Process[] => [
      row(`dialer@${agent}`, {
        uid: uid('dialer'),
        runs: ['appliance/processes/dialer.ts', agent],
        network: `world:${agent}`,
        memoryMb: 128,
        pids: 32,
      }),
      row(`agent@${agent}`, {
        uid: ownUid(agent),
        runs: ['appliance/processes/agent.ts'],
        network: `world:${agent}`,
        guest: agent,
        env: guestEnv(agent, config.agents[agent]),
        needs: ['llm', 'egress', 'tools', `dialer@${agent}`],
        memoryMb: config.agents[agent]?.memoryMb ?? 1024,
        pids: config.agents[agent]?.pids ?? 256,
      }),
    ]),
  ];

  for (const each of processes) {
    if (each.guest !== null) continue;
    doors.push(socket(`control.${each.name}`, each.name));
    each.doors = doors.filter((door) => door.servedBy === each.name).map((door) => door.name);
    each.groups = [...each.groups, ...each.controls.map((name) => group(name))];
    if (each.reads.some((entry) => entry.path === 'audit')) each.groups.push(group('audit'));
  }

  return {
    instance: at.instance,
    version,
    worlds: worlds.map((agent) => ({ agent, uid: ownUid(agent) })),
    doors,
    processes,
    jobs: [
      { name: 'config', runs: ['appliance/processes/config.ts'], why: 'reads holdfast.yaml' },
      { name: 'tools', runs: ['provisioning/tools.ts'], why: 'installs Docker and builds the tool image' },
    ],
  };
}

/** An ordinary user has one uid for everything, so a real key there needs an explicit yes. */
export const mayHoldKeys = (config: Config, mode: Circumstances['mode']): boolean =>
  mode === 'root' || config.ordinaryUser.holdKeys;

/** Its egress rules judge the hosts of URLs that a provider would fetch for it. */
const llmAgent = (agent: AgentConfig | undefined): Record<string, unknown> => ({
  model: agent?.model,
  allow: agent?.allow,
  aliases: agent?.aliases ?? {},
  limits: agent?.limits,
  egress: agent?.egress ?? [],
});

/** Ready when one provider of its model, or of the chain that its model is an alias of, can be asked. Otherwise what the first lacks. */
function gatewayAgent(config: Config, agent: string, at: Circumstances): Record<string, unknown> {
  const of = config.agents[agent];
  const model = of?.model;
  if (!model) return { modelReady: false };
  const names =
    model.provider === undefined
      ? (chainOf(model.name, of.aliases, config.models) ?? []).map((entry) => linkOf(entry)?.provider ?? '')
      : [model.provider];
  const states = names.flatMap((name) => {
    const provider = config.providers[name];
    if (!provider) return [];
    const secret = provider.key ?? (provider.login ? 'login' : undefined);
    return [
      {
        name,
        missing: provider.key !== undefined && !at.keys.includes(provider.key) ? provider.key : undefined,
        withheld: secret !== undefined && !mayHoldKeys(config, at.mode) ? secret : undefined,
      },
    ];
  });
  const ready = states.find((each) => each.missing === undefined && each.withheld === undefined);
  const said = ready ?? states[0];
  return {
    model: { name: model.name, provider: model.provider ?? said?.name ?? names[0] ?? '' },
    modelReady: ready !== undefined,
    keyMissing: said?.missing,
    keyWithheld: said?.withheld,
  };
}

/** All that a guest is told. Any program that can be pointed at an OpenAI base URL, an HTTP proxy and an MCP server is a guest. */
function guestEnv(agent: string, config: AgentConfig | undefined): Record<string, string> {
  const proxy = 'http://127.0.0.1:3128';
  const local = '127.0.0.1,localhost';
  return {
    HOLDFAST_AGENT: agent,
    HOLDFAST_MODEL: config?.model?.name ?? '',
    HOLDFAST_INSTRUCTIONS: config?.instructions ?? '',
    HOLDFAST_TOOLS_URL: 'http://127.0.0.1:9091/mcp',
    OPENAI_BASE_URL: 'http://127.0.0.1:9090/v1',
    OPENAI_API_KEY: 'placeholder',
    HTTP_PROXY: proxy,
    HTTPS_PROXY: proxy,
    http_proxy: proxy,
    https_proxy: proxy,
    NO_PROXY: local,
    no_proxy: local,
    PORT: '18789',
    HOME: '/home/agent',
    PATH: '/opt/holdfast/node_modules/.bin:/usr/bin',
    PWD: '/workspace',
    LANG: 'C.UTF-8',
    NODE_COMPILE_CACHE: '/opt/cache',
  };
}
