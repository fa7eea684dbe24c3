/** The commented example of holdfast.yaml, which is the default: written on first run and printed by `holdfast config example`. */
import { stringify } from 'yaml';
import { type Shape, shape } from './shape.ts';

const head = `# Holdfast's configuration, with every field. What is not commented out is the default.
# Check an edit with \`holdfast config check\`; \`holdfast config apply\` makes it take effect.
# \`holdfast config schema\` prints the schema for editors.
`;

export const exampleYaml = (): string => `${head}${section(shape, undefined, '').join('\n')}\n`;

type Values = Record<string, unknown>;

/** Each field below its description. With `example`, its values are shown, and what it leaves out as a comment; without, the defaults, and what has none as a comment. */
function section(at: Shape, example: Values | undefined, indent: string): string[] {
  return Object.entries(at.properties ?? {}).flatMap(([name, field]) => [
    ...(indent === '' ? [''] : []),
    `${indent}# ${field.description}`,
    ...(example === undefined ? byDefault(name, field, indent) : byExample(name, field, example, indent)),
  ]);
}

function byExample(name: string, field: Shape, example: Values, indent: string): string[] {
  if (Object.hasOwn(example, name)) return given(name, field, example[name], indent);
  return commented(given(name, field, field.example ?? {}, ''), indent);
}

/** A field with this value; sections with every field described. */
function given(name: string, field: Shape, value: unknown, indent: string): string[] {
  const title = `${indent}${name}:`;
  const inner = `${indent}  `;
  if (field.properties) return [title, ...section(field, value as Values, inner)];
  const entry = entryOf(field);
  if (entry?.properties) {
    return [title, ...Object.entries(value as Values).flatMap(([each, of]) => given(each, entry, of, inner))];
  }
  return [`${title} ${plain(value)}`];
}

const entryOf = (field: Shape): Shape | undefined =>
  typeof field.additionalProperties === 'object' ? field.additionalProperties : undefined;

function byDefault(name: string, field: Shape, indent: string): string[] {
  const inner = `${indent}  `;
  const title = `${indent}${name}:`;
  const entry = entryOf(field);
  if (entry && field.exampleName !== undefined)
    return [title, ...commented(given(field.exampleName, entry, entry.example, ''), inner)];
  if (entry) {
    const names = Object.keys((field.default ?? {}) as Values);
    return [
      title,
      ...names.flatMap((each) => [`${inner}${each}:`, ...section(entry, undefined, `${inner}  `)]),
    ];
  }
  if (field.items?.properties) {
    const [first = '', ...rest] = section(field.items, field.items.example as Values, '  ');
    return [title, ...commented([first.replace(/^ {2}/, '- '), ...rest], inner)];
  }
  if (field.properties && field.example !== undefined)
    return commented(given(name, field, field.example, ''), indent);
  if (field.properties) return [title, ...section(field, undefined, inner)];
  if (field.default !== undefined) return [`${indent}${name}: ${plain(field.default)}`];
  return commented([`${name}: ${plain(field.example)}`], indent);
}

const plain = (value: unknown): string => stringify(value, { collectionStyle: 'flow', lineWidth: 0 }).trim();

const commented = (lines: string[], indent: string): string[] => lines.map((line) => `${indent}# ${line}`);
