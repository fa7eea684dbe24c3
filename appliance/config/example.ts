/** The commented example of holdfast.yaml, which is the default: written on first run and printed by `holdfast config example`. */
import { stringify } from 'yaml';
import { type Shape, shape } from './shape.ts';

const head = `# Holdfast's configuration, with every field. What is not commented out is the default.
# Check an edit with \`holdfast config check\`; \`holdfast config apply\` makes it take effect.
# \`holdfast config schema\` prints the schema for editors.
`;

export const exampleYaml = (): string => `${head}${section(shape, undefined, '').join('\n')}\n`;

type Values = Record<string, unknown>;

/** Each field below its description. With `example`, its values are shown; without, the defaults, and what has none as a comment. */
function section(at: Shape, example: Values | undefined, indent: string): string[] {
  return Object.entries(at.properties ?? {}).flatMap(([name, field]) => [
    ...(indent === '' ? [''] : []),
    `${indent}# ${field.description}`,
    ...(example === undefined
      ? byDefault(name, field, indent)
      : [`${indent}${name}: ${plain(example[name])}`]),
  ]);
}

function byDefault(name: string, field: Shape, indent: string): string[] {
  const inner = `${indent}  `;
  const title = `${indent}${name}:`;
  const entry = typeof field.additionalProperties === 'object' ? field.additionalProperties : undefined;
  if (entry && field.exampleName !== undefined) {
    return [
      title,
      ...commented([`${field.exampleName}:`, ...section(entry, entry.example as Values, '  ')], inner),
    ];
  }
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
  if (field.properties && field.example !== undefined) {
    return commented([`${name}:`, ...section(field, field.example as Values, '  ')], indent);
  }
  if (field.properties) return [title, ...section(field, undefined, inner)];
  if (field.default !== undefined) return [`${indent}${name}: ${plain(field.default)}`];
  return commented([`${name}: ${plain(field.example)}`], indent);
}

const plain = (value: unknown): string => stringify(value, { collectionStyle: 'flow', lineWidth: 0 }).trim();

const commented = (given: string[], indent: string): string[] => given.map((line) => `${indent}# ${line}`);
