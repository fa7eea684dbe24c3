/** A systemd unit as text: its sections, its quoting, and the names that units of ours have. units.ts and its neighbours write by it. */

export type Section = (readonly [key: string, value: string | number])[];

export const text = (sections: Record<string, Section>): string =>
  Object.entries(sections)
    .map(([name, lines]) => `[${name}]\n${lines.map(([key, value]) => `${key}=${value}\n`).join('')}`)
    .join('\n');

/** systemd.syntax(7): double quotes with C escapes; a % begins a specifier. */
export const quoted = (value: string): string =>
  `"${value
    .replace(/[\\"]/g, '\\$&')
    .replaceAll('%', '%%')
    .replace(/\p{Cc}/gu, (control) => `\\u${control.charCodeAt(0).toString(16).padStart(4, '0')}`)}"`;

export const plain = (name: string): string => name.replaceAll('@', '-'); // an @ would make it an instance of a template
export const serviceUnit = (name: string): string => `holdfast-${plain(name)}.service`;
export const socketUnit = (door: string): string => `holdfast-${plain(door)}.socket`;
export const worldUnit = (agent: string): string => `holdfast-world-${agent}.service`;
