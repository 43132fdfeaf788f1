import type { Finding } from '../backend.js';
import { cudaCommand } from './cuda-libraries.js';

/** Loads the runtime, which the backend itself does in its own thread only. */
export async function diagnose(): Promise<readonly Finding[]> {
  const what = 'onnxruntime-node';
  try {
    const { env, listSupportedBackends } = await import('onnxruntime-node');
    const devices = listSupportedBackends();
    const named = (bundled: boolean): string =>
      devices
        .filter((d) => d.bundled === bundled)
        .map((d) => d.name)
        .join(', ');
    const more = named(false);
    return [
      { what, found: `${env.versions.node}, with ${named(true)}` },
      ...(more
        ? [
            {
              what: 'more devices',
              found: more,
              advice: `their libraries come with "${cudaCommand()}", which downloads them`,
            },
          ]
        : []),
    ];
  } catch (error) {
    return [
      {
        what,
        found: `does not load: ${(error as Error).message.split('\n')[0]}`,
        advice: 'install again with "npm ci"; it supports Linux, macOS and Windows on x64 and arm64',
      },
    ];
  }
}
