/** The proxy that the environment names, as curl and Python's requests read it. */
import { UserError } from '../../base/errors.js';

/** Ports that a URL leaves out. */
const PORTS: Readonly<Record<string, string>> = { 'http:': '80', 'https:': '443' };

/**
 * `https_proxy` or `http_proxy` by the protocol, else `all_proxy`; small letters before capitals; none for the hosts of
 * `no_proxy`: `*`, or names with their subdomains, with a port or without.
 * @returns undefined where the connection is direct
 */
export function proxyFor(url: string, env: NodeJS.ProcessEnv = process.env): string | undefined {
  const { protocol, hostname, port } = new URL(url);
  const read = (name: string): string => env[name] ?? env[name.toUpperCase()] ?? '';
  const proxy = read(`${protocol.slice(0, -1)}_proxy`) || read('all_proxy');
  if (proxy === '') return undefined;
  const host = bare(hostname);
  const direct = read('no_proxy')
    .split(/[\s,]+/)
    .some((entry) => {
      if (entry === '*') return true;
      const [, name, own] = /^(\[.*\]|[^:]*|.*:.*:.*?)(?::(\d+))?$/.exec(entry.replace(/^\*?\./, '')) ?? [
        '',
        '',
        undefined,
      ];
      if (name === '' || (own !== undefined && own !== (port || PORTS[protocol]))) return false;
      return host === bare(name) || host.endsWith(`.${bare(name)}`);
    });
  return direct ? undefined : proxy.includes('://') ? proxy : `http://${proxy}`;
}

const bare = (host: string): string => host.toLowerCase().replace(/^\[|\]$/g, '');

/** A proxy without its password, for messages. */
export function nameOf(proxy: string): string {
  const { protocol, host } = new URL(proxy);
  return `${protocol}//${host}`;
}

/**
 * `fetch` through the environment's proxy. Each request asks anew: a download may be sent on to another host.
 * @throws UserError when the environment names something that is no proxy of http
 */
export async function proxiedFetch(): Promise<typeof fetch> {
  const names = ['http_proxy', 'https_proxy', 'all_proxy'].flatMap((name) => [name, name.toUpperCase()]);
  const given = names.find((name) => process.env[name]);
  if (given === undefined) return fetch; // undici is a second copy of what Node has: loaded only for a proxy
  const undici = await import('undici');
  const agents = new Map<string, InstanceType<typeof undici.ProxyAgent>>();
  const agentOf = (proxy: string): InstanceType<typeof undici.ProxyAgent> => {
    let agent = agents.get(proxy);
    if (!agent) agents.set(proxy, (agent = new undici.ProxyAgent({ uri: checked(proxy), proxyTunnel: false })));
    return agent;
  };
  return (async (input: string | URL, init: RequestInit = {}) => {
    // Redirects are followed here, so that NO_PROXY counts for each host.
    let url = String(input);
    for (let hops = 0; ; hops++) {
      const proxy = proxyFor(url);
      const direct = proxy === undefined;
      const response = direct
        ? await fetch(url, { ...init, redirect: 'manual' })
        : // undici's own types of a request differ from Node's in names alone: Node's fetch is undici's.
          await undici.fetch(url, { ...init, redirect: 'manual', dispatcher: agentOf(proxy) } as never);
      const to = response.status >= 300 && response.status < 400 ? response.headers.get('location') : null;
      if (to === null || init.redirect === 'manual') return response;
      await response.body?.cancel();
      if (hops === MAX_REDIRECTS) throw new Error(`more than ${MAX_REDIRECTS} redirects from ${String(input)}`);
      const next = new URL(to, url);
      // As fetch does: credentials stay with the host that they are for.
      if (next.origin !== new URL(url).origin) init = { ...init, headers: withoutToken(init.headers) };
      url = next.href;
    }
  }) as unknown as typeof fetch;
}

const MAX_REDIRECTS = 20;

function withoutToken(given: RequestInit['headers']): Headers {
  const headers = new Headers(given);
  headers.delete('authorization');
  return headers;
}

function checked(proxy: string): string {
  const protocol = URL.canParse(proxy) ? new URL(proxy).protocol : undefined;
  if (protocol === 'http:' || protocol === 'https:') return proxy;
  throw new UserError(
    `${protocol === undefined ? proxy : nameOf(proxy)}: no proxy of http, which HTTPS_PROXY, HTTP_PROXY or ALL_PROXY names; give "http://host:port", or NO_PROXY for the hub`,
  );
}
