/** The schema as a plain tree (JSON Schema), for those who walk it: the parser, the example and the editor's schema. */
import { z } from 'zod';
import type { Path } from './mistake.ts';
import { schema } from './schema.ts';

/** The part of JSON Schema that zod writes for our schema. */
export type Shape = {
  type?: string | string[];
  description?: string;
  properties?: Record<string, Shape>;
  additionalProperties?: Shape | boolean;
  items?: Shape;
  required?: string[];
  enum?: string[];
  const?: unknown;
  anyOf?: Shape[];
  minimum?: number;
  maximum?: number;
  minItems?: number;
  maxItems?: number;
  minLength?: number;
  maxLength?: number;
  default?: unknown;
  /** What it wants, in words of its own. */
  wants?: string;
  example?: unknown;
  exampleName?: string;
};

/** What may be written, before defaults are filled in. */
export const shape = z.toJSONSchema(schema, { io: 'input' }) as Shape;

export function shapeAt(path: Path): Shape | undefined {
  let at: Shape | undefined = shape;
  for (const part of path) at = child(at, part);
  return at;
}

function child(at: Shape | undefined, part: string | number): Shape | undefined {
  if (typeof part === 'number') return at?.items;
  if (at?.properties && Object.hasOwn(at.properties, part)) return at.properties[part];
  return typeof at?.additionalProperties === 'object' ? at.additionalProperties : undefined;
}

/** For editors: what the parser takes, so a section or list with nothing in it is fine. */
export function jsonSchema(): Shape {
  return { ...open(shape), title: 'holdfast.yaml' } as Shape;
}

function open(from: Shape): Shape {
  const to: Shape = { ...from };
  delete to.wants;
  delete to.example;
  delete to.exampleName;
  if (from.properties) {
    to.properties = Object.fromEntries(
      Object.entries(from.properties).map(([name, inner]) => {
        const opened = open(inner);
        const optional = !from.required?.includes(name);
        return [
          name,
          optional && mayStandEmpty(inner) ? { ...opened, type: [String(inner.type), 'null'] } : opened,
        ];
      }),
    );
  }
  if (typeof from.additionalProperties === 'object') {
    const entry = open(from.additionalProperties);
    to.additionalProperties = { ...entry, type: [String(from.additionalProperties.type), 'null'] };
  }
  if (from.items) to.items = open(from.items);
  return to;
}

/** With every line below it commented out it is as if it were not written. A list without a default is none of these: an allow-list that was emptied must not allow everything. */
export const mayStandEmpty = (at: Shape): boolean =>
  at.type === 'object' || (at.type === 'array' && at.default !== undefined);
