/** What a tool container looks like: the profile's one definition, made here from facts that the broker owns. Called by broker.ts; docker.ts hands it to the engine as it is. */
import { readFileSync } from 'node:fs';
import type { ContainerCreateOptions } from 'dockerode';
import { dockerProfile } from './seccomp.ts';

export type Box = {
  instance: string;
  agent: string;
  nonce: string;
  image: string;
  workspace: string;
  uid: number;
  gid: number;
  memoryMb: number;
  pids: number;
};

/** Labels are how a cleaner knows its own: see engine.removeAll. */
export const instanceLabel = 'holdfast.instance';

const runner = readFileSync(new URL('./runner.pl', import.meta.url), 'utf8');
const seccomp = JSON.stringify(dockerProfile());
const mib = 1024 * 1024;

// The whole environment: nothing of the broker's or the image's gets in beside it.
const env = ['PATH=/usr/local/bin:/usr/bin:/bin', 'HOME=/tmp', 'LANG=C.UTF-8', 'TERM=dumb', 'TMPDIR=/tmp'];

/** @types/dockerode lacks one field of the engine's API (1.41 and up). */
export type ContainerOptions = ContainerCreateOptions & { HostConfig: { CgroupnsMode: 'private' } };

export function containerFor(box: Box): ContainerOptions {
  return {
    name: `holdfast-${box.instance}-${box.agent}-${box.nonce.slice(0, 12)}`,
    Image: box.image,
    Entrypoint: [],
    Cmd: ['/usr/bin/perl', '-e', runner],
    User: `${box.uid}:${box.gid}`,
    WorkingDir: '/',
    Env: env,
    Hostname: 'tool',
    Labels: {
      [instanceLabel]: box.instance,
      'holdfast.agent': box.agent,
      'holdfast.profile': 'shell',
    },
    // One client, once: when the broker is gone the engine closes stdin, and the runner ends the container.
    OpenStdin: true,
    StdinOnce: true,
    AttachStdin: true,
    AttachStdout: true,
    AttachStderr: true,
    Tty: false,
    NetworkDisabled: true,
    HostConfig: {
      NetworkMode: 'none',
      IpcMode: 'private',
      CgroupnsMode: 'private',
      ReadonlyRootfs: true,
      CapDrop: ['ALL'],
      Privileged: false,
      SecurityOpt: ['no-new-privileges', `seccomp=${seccomp}`],
      Memory: box.memoryMb * mib,
      MemorySwap: box.memoryMb * mib, // equal: no swap
      PidsLimit: box.pids,
      NanoCpus: 1e9, // one core: a tool never starves the doors
      Ulimits: [
        { Name: 'core', Soft: 0, Hard: 0 },
        { Name: 'nofile', Soft: 1024, Hard: 4096 },
      ],
      ShmSize: 16 * mib,
      // noexec: what a tool wants to run from a file goes to its workspace, which the owner sees.
      Tmpfs: { '/tmp': 'rw,noexec,nosuid,nodev,size=64m,mode=1777' },
      // A mount, not a bind: a missing folder is then an error instead of being made as root.
      Mounts: [{ Type: 'bind', Source: box.workspace, Target: '/workspace', ReadOnly: false }],
      Init: false, // the runner reaps
      AutoRemove: true,
      LogConfig: { Type: 'none', Config: {} }, // output goes to the caller, never to the engine's disk
    },
  };
}
