/** What both loaders of the user's TypeScript agree on. */

/** A .ts file is an ES module here, whatever the nearest package.json says: `npm install` in an empty folder makes one without "type". */
export const isUserTypeScript = (url: string): boolean =>
  url.startsWith('file:') && /\.m?ts$/.test(new URL(url).pathname) && !url.includes('/node_modules/');

/** 'diffengine' is the package that runs, not a second copy beside the user's files: components must register where it looks. */
export const isOurs = (specifier: string): boolean => /^diffengine($|\/)/.test(specifier);

/** Which TypeScript compiles, where ts-node does: an absolute path. */
export interface TsNodeData {
  readonly compiler: string;
}
