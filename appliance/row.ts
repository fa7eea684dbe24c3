/** The rows of the manifest: world, door, process, job, and what a process is given. The launcher reads them, the units are rendered from them. */

/** What the table needs to know of the machine and of this run, beside the configuration. */
export type Circumstances = {
  instance: string;
  mode: 'root' | 'user';
  /** Who started it: in user mode everything on disk is theirs, as root each process has its own uid. */
  owner: { uid: number; gid: number };
  /** A number for each agent, given once and never given again: its files outlive it. */
  agentNumbers: Record<string, number>;
  /** Names of the key files present in secrets/llm/. */
  keys: string[];
  /** A killed box starts no worlds and llm gets no keys. */
  killed: boolean;
  docker: { socket: string; gid: number } | null;
  /** Home on the host: the broker names workspaces to Docker, which knows no views. */
  home: string;
};

/** `none` is a network namespace of its own, empty; `world:main` is that agent's. */
export type Network = 'host' | 'none' | `world:${string}`;

/** A listening socket made inside a world's namespace (or on the host) and served from outside it. */
export type Door = {
  name: string;
  in: string;
  /** `127.0.0.1:9090`, `udp:127.0.0.53:53`, or `path`: the unix socket `<run>/<name>/sock`. */
  listen: string;
  servedBy: string;
};

/** A path of the home folder that appears at the same place in the process's view. */
export type Entry = { path: string; kind: 'folder' | 'file'; mode: number };

export type Process = {
  name: string;
  uid: number;
  /** Supplementary groups: one for each control socket that it may connect to, one for reading ledgers. */
  groups: number[];
  /** Program and arguments, relative to the code. */
  runs: string[];
  network: Network;
  doors: string[];
  controls: string[];
  reads: Entry[];
  writes: Entry[];
  /** Files of the machine, read-only in the view, where they exist: resolver configuration, the Docker socket, the cgroup folder. */
  machine: string[];
  env: Record<string, string>;
  /** A folder below secrets/ whose files it is given as credentials; null for none. */
  secrets: string | null;
  part: Record<string, unknown>;
  needs: string[];
  memoryMb: number;
  pids: number;
  restart: 'always' | 'never';
  /** The agent, when this is the untrusted guest: own view, seccomp filter, no control socket. */
  guest: string | null;
};

export type Job = { name: string; runs: string[]; why: string };

export type World = { agent: string; uid: number };

export type Manifest = {
  instance: string;
  version: string;
  worlds: World[];
  doors: Door[];
  processes: Process[];
  jobs: Job[];
};

/** A row with nothing in it: no door, no file, no network. What a process needs is said beside its name. */
export const processRow = (name: string, rest: Partial<Process> & { uid: number }): Process => ({
  name,
  groups: [],
  runs: [`appliance/processes/${name}.ts`],
  network: 'none',
  doors: [],
  controls: [],
  reads: [],
  writes: [],
  machine: [],
  env: {},
  secrets: null,
  part: {},
  needs: [],
  memoryMb: 256,
  pids: 64,
  restart: 'always',
  guest: null,
  ...rest,
});
