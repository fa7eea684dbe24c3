/** The import arrows of the house, read from the source itself. The scanner is proved first on planted violations. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { test } from 'node:test';

const root = join(import.meta.dirname, '..');

/** `typeOnly` imports vanish when types are stripped: they bring no code into a process, yet they are arrows all the same. */
type Import = { to: string; typeOnly: boolean };
type House = Map<string, Import[]>;

/** Static and dynamic imports, and re-exports. Each of our files is formatted by Biome, so a statement begins its line. */
function importsOf(source: string): Import[] {
  const code = source.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '');
  const from = /^(import|export)\s+(type\s+)?(?:[\w*${},\s]+?\s+from\s+)?'([^']+)'/gm;
  const dynamic = /\bimport\(\s*['"`]([^'"`]+)['"`]/g;
  return [
    ...[...code.matchAll(from)].map(([text, , type, to = '']) => ({
      to,
      typeOnly: type !== undefined || onlyTypes(text),
    })),
    ...[...code.matchAll(dynamic)].map(([text, to = ''], at) => ({
      to,
      // `typeof import('x')` and `import('x').T` in a type are erased; which one it is, the word before says.
      typeOnly: /typeof\s+$/.test(code.slice(0, indexOf(code, text, at))),
    })),
  ];
}

const onlyTypes = (text: string): boolean => {
  const names =
    /\{([^}]*)\}/
      .exec(text)?.[1]
      ?.split(',')
      .map((name) => name.trim())
      .filter(Boolean) ?? [];
  return (
    !/^(import|export)\s+[\w*]/.test(text) &&
    names.length > 0 &&
    names.every((name) => name.startsWith('type '))
  );
};

function indexOf(code: string, text: string, nth: number): number {
  const all = [...code.matchAll(/\bimport\(\s*['"`]([^'"`]+)['"`]/g)];
  return all[nth]?.index ?? code.indexOf(text);
}

/** Paths from the root; packages and `node:` as they are written. */
function house(files: Record<string, string>): House {
  return new Map(
    Object.entries(files).map(([path, source]) => [
      path,
      importsOf(source).map(({ to, typeOnly }) => ({
        to: to.startsWith('.') ? join(dirname(path), to) : to,
        typeOnly,
      })),
    ]),
  );
}

const tree = house(
  Object.fromEntries(
    globSync('{appliance,proxies,sandbox,images,provisioning}/**/*.ts', { cwd: root }).map((path) => [
      path,
      readFileSync(join(root, path), 'utf8'),
    ]),
  ),
);

type Rule = { from: RegExp; not: RegExp; except?: RegExp; why: string };

const rules: Rule[] = [
  {
    from: /^proxies\//,
    not: /^(appliance|sandbox|provisioning|images)\//,
    why: 'proxies are given what they need as parameters',
  },
  {
    from: /^sandbox\//,
    not: /^(appliance|provisioning|images|proxies)\//,
    except: /^proxies\/(ledger|verdict)\/|^proxies\/\w+\.ts$/,
    why: 'the sandbox imports nothing of the appliance',
  },
  {
    from: /^appliance\/controller\//,
    not: /^appliance\/(gateway|agent)\//,
    why: 'controller and gateway meet at a noun',
  },
  {
    from: /^appliance\/gateway\//,
    not: /^appliance\/(controller|agent)\//,
    why: 'controller and gateway meet at a noun',
  },
  {
    from: /^appliance\/agent\//,
    not: /^appliance\/(controller|gateway)\//,
    why: 'the guest is a program of its own',
  },
  {
    from: /^(appliance|proxies|sandbox|images|provisioning)\//,
    not: /^appliance\/(processes|cli)\//,
    except: /^appliance\/cli\/exit\.ts$/,
    why: 'processes and cli are at the top',
  },
  {
    from: /^appliance\/(?!processes\/|cli\/)/,
    not: /^(provisioning|images)\//,
    why: 'provisioning stands above the appliance',
  },
  { from: /./, not: /^test\//, why: 'no product code knows the tests' },
];

/** Roots of processes that run as root, or that everything else trusts: no package, however deep. */
const nodeOnly =
  /^appliance\/(keeper|world|launcher)\/|^appliance\/(up|manifest|row|numbers|settings|paths|problem|socket|log|process)\.ts$|^appliance\/processes\/(keeper|launcher|dialer)\.ts$/;

function violations(of: House): string[] {
  const found: string[] = [];
  for (const [path, imports] of of) {
    for (const { to } of imports) {
      for (const rule of rules) {
        const inTop = /^appliance\/(processes|cli)\//.test(path) && /processes\|cli/.test(rule.not.source);
        if (inTop || !rule.from.test(path) || !rule.not.test(to) || rule.except?.test(to)) continue;
        found.push(`${path} -> ${to}: ${rule.why}`);
      }
      if (to.startsWith('appliance/') && !of.has(to) && of === tree)
        found.push(`${path} -> ${to}: no such file`);
    }
    if (nodeOnly.test(path)) {
      const way = wayToPackage(of, path, new Set());
      if (way) found.push(`${way.join(' -> ')}: node: and our own files only`);
    }
  }
  return found;
}

/** The chain of run-time imports that ends in a package. */
function wayToPackage(of: House, path: string, seen: Set<string>): string[] | undefined {
  if (seen.has(path)) return undefined;
  seen.add(path);
  for (const { to, typeOnly } of of.get(path) ?? []) {
    if (typeOnly || to.startsWith('node:')) continue;
    if (!/\.(ts|json)$/.test(to)) return [path, to];
    const way = wayToPackage(of, to, seen);
    if (way) return [path, ...way];
  }
  return undefined;
}

test('the imports of the house run down only', () => {
  assert.ok(tree.size > 50, `only ${tree.size} files were read`);
  assert.deepEqual(violations(tree), []);
});

test('planted violations are found, each by its rule', () => {
  const planted: [string, Record<string, string>, RegExp][] = [
    [
      'proxy to appliance',
      { 'proxies/llm/x.ts': "import { up } from '../../appliance/up.ts';" },
      /as parameters/,
    ],
    [
      'type import too',
      { 'proxies/x.ts': "import type { Process } from '../appliance/row.ts';" },
      /as parameters/,
    ],
    [
      'dynamic import',
      { 'proxies/x.ts': "const a = await import('../sandbox/docker.ts');" },
      /as parameters/,
    ],
    [
      'over several lines',
      { 'sandbox/x.ts': "import {\n  type A,\n  b,\n} from '../appliance/up.ts';" },
      /nothing of the appliance/,
    ],
    ['re-export', { 'sandbox/x.ts': "export { b } from '../appliance/up.ts';" }, /nothing of the appliance/],
    ['side effect', { 'sandbox/x.ts': "import '../appliance/up.ts';" }, /nothing of the appliance/],
    [
      'controller to gateway',
      { 'appliance/controller/x.ts': "import { a } from '../gateway/a.ts';" },
      /meet at a noun/,
    ],
    [
      'gateway to controller',
      { 'appliance/gateway/x.ts': "import { a } from '../controller/a.ts';" },
      /meet at a noun/,
    ],
    ['up to the top', { 'appliance/health/x.ts': "import { a } from '../cli/a.ts';" }, /at the top/],
    [
      'up to provisioning',
      { 'appliance/up.ts': "import { a } from '../provisioning/a.ts';" },
      /stands above/,
    ],
    ['into the tests', { 'proxies/x.ts': "import { a } from '../test/a.ts';" }, /knows the tests/],
    [
      'a package in the keeper',
      { 'appliance/keeper/x.ts': "import { z } from 'zod';" },
      /x\.ts -> zod: node:/,
    ],
    [
      'a package three files down',
      {
        'appliance/up.ts': "import { a } from './a.ts';",
        'appliance/a.ts': "import { b } from './b.ts';\nimport type { Z } from 'zod';",
        'appliance/b.ts': "import { parse } from 'yaml';",
      },
      /up\.ts -> appliance\/a\.ts -> appliance\/b\.ts -> yaml/,
    ],
  ];
  for (const [name, files, expected] of planted) {
    const found = violations(house(files));
    assert.equal(found.length, 1, `${name}: ${found.join('; ') || 'nothing found'}`);
    assert.match(found[0] ?? '', expected, name);
  }
});

test('what is allowed is not reported', () => {
  const fine = {
    'appliance/keeper/x.ts':
      "import { a } from 'node:fs';\nimport type { Z } from 'zod';\nimport { type Y } from 'yaml';",
    'appliance/processes/a.ts':
      "import { a } from '../controller/a.ts';\nimport { b } from '../../provisioning/b.ts';",
    'sandbox/x.ts': "import type { Ledger } from '../proxies/ledger/ledger.ts';",
    'proxies/x.ts': "// import { a } from '../appliance/up.ts';\n/* import '../appliance/up.ts'; */",
    'provisioning/x.ts':
      "import { a } from '../appliance/manifest.ts';\nimport { b } from '../sandbox/b.ts';",
  };
  assert.deepEqual(violations(house(fine)), []);
});

test('the paths of this test are those of the house', () => {
  assert.ok(
    tree.has('appliance/up.ts') && tree.has('proxies/verdict/verdict.ts'),
    relative(root, import.meta.filename),
  );
  for (const name of ['keeper', 'world', 'launcher'])
    assert.ok(
      [...tree.keys()].some((path) => path.startsWith(`appliance/${name}/`)),
      name,
    );
});
