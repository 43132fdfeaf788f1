/**
 * Who may ask: whoever has the token of the printed link, from a page of this server. The page can start programs, so that
 * another page in the same browser, or another user of the machine, must not.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Context, MiddlewareHandler } from 'hono';
import { getCookie, setCookie } from 'hono/cookie';
import { Problem } from './problem.js';

export const newToken = (): string => randomBytes(24).toString('base64url');

const LOOPBACK = ['127.0.0.1', 'localhost', '[::1]'];

/** @param port that the server listens on */
export function access(token: string, port: () => number): MiddlewareHandler {
  return async (c, next) => {
    requireOwnHost(c, port());
    requireOwnPage(c);
    const isFirst = c.req.method === 'GET' && c.req.path === '/' && isToken(c.req.query('token'), token);
    if (isFirst)
      // Browsers send cookies to all ports of a host: the name keeps those of several servers apart.
      setCookie(c, cookieName(port()), token, { httpOnly: true, sameSite: 'Strict', path: '/' });
    else if (!isToken(bearer(c), token) && !isToken(getCookie(c, cookieName(port())), token))
      throw new Problem(403, 'no token; open the link that "diffengine ui" printed');
    await next();
  };
}

/** A name that leads here by a foreign DNS entry is not ours (DNS rebinding). */
function requireOwnHost(c: Context, port: number): void {
  const host = c.req.header('host') ?? '';
  if (!LOOPBACK.some((name) => host === `${name}:${port}`))
    throw new Problem(403, `Host "${host}" is not this server; open http://127.0.0.1:${port}/ with the token`);
}

/** Browsers say from which page a request comes; a program with the token in its header is no browser. */
function requireOwnPage(c: Context): void {
  const origin = c.req.header('origin'),
    site = c.req.header('sec-fetch-site');
  if (origin !== undefined && origin !== `http://${c.req.header('host')}`)
    throw new Problem(403, `Origin "${origin}" is another page`);
  const opensPage = c.req.path === '/' && c.req.method === 'GET'; // a link in a mail or a notebook
  if (site !== undefined && site !== 'same-origin' && site !== 'none' && !opensPage)
    throw new Problem(403, 'the request comes from another page');
  if (c.req.method !== 'GET' && origin === undefined && bearer(c) === undefined)
    throw new Problem(403, 'no Origin; programs send "Authorization: Bearer <token>"');
}

const cookieName = (port: number): string => `diffengine_${port}`;

const bearer = (c: Context): string | undefined => /^Bearer (.+)$/.exec(c.req.header('authorization') ?? '')?.[1];

/** In a time that says nothing of how much was right. */
const isToken = (given: string | undefined, token: string): boolean =>
  given !== undefined && timingSafeEqual(digest(given), digest(token));
const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

/** Headers of every answer: nothing of it is for other pages, and the page asks no other host. */
export const headers: MiddlewareHandler = async (c, next) => {
  await next();
  for (const [name, value] of Object.entries(HEADERS)) c.header(name, value);
};

const HEADERS = {
  'Content-Security-Policy': [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data: blob:",
    "connect-src 'self'",
    "font-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; '),
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
};
