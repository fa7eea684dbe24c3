/** The code of a fault on the way to a provider, in words. Tables and pages show it; records and filters keep the code. */

/** Source: errno(3), getaddrinfo(3), undici's errors.js, and proxies/llm (route/travel.ts, forward.ts). */
const byCode: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'cut off',
  EPIPE: 'cut off',
  UND_ERR_SOCKET: 'cut off',
  ETIMEDOUT: 'timed out',
  UND_ERR_CONNECT_TIMEOUT: 'no connection in time',
  UND_ERR_HEADERS_TIMEOUT: 'no answer in time',
  UND_ERR_BODY_TIMEOUT: 'stopped in the middle',
  EHOSTUNREACH: 'host unreachable',
  ENETUNREACH: 'network unreachable',
  ENOTFOUND: 'name not found',
  EAI_AGAIN: 'name not found for now',
  'agent-gone': 'the agent left',
  'lease-lost': 'the doors closed',
};

/** A code that is not known stays what it is. */
export const faultWords = (code: string): string =>
  Object.hasOwn(byCode, code) ? (byCode[code] ?? code) : code;
