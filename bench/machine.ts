/** What the machine and this process are doing. */
import { readFileSync, statSync } from 'node:fs';
import { availableParallelism, cpus, freemem } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';

export const machineName = (): string => `${availableParallelism()} x ${cpus()[0]?.model.trim() ?? 'unknown CPU'}`;

interface CpuSeconds {
  readonly machine: number;
  readonly own: number;
  readonly at: number;
}

/** CPU seconds of the whole machine, and of this process with its threads and the children that have ended. */
export function cpuSeconds(): CpuSeconds {
  const machine = cpus().reduce((n, { times: t }) => n + t.user + t.nice + t.sys + t.irq, 0) / 1000;
  const { user, system } = process.cpuUsage();
  return { machine, own: (user + system) / 1e6 + childSeconds(proc('self/stat')), at: performance.now() / 1000 };
}

/** Of the children that were waited for. @param stat text of /proc/PID/stat; its second field may hold blanks */
export function childSeconds(stat: string): number {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[13] ?? 0) + Number(fields[14] ?? 0)) / 100; // cutime and cstime, proc(5), in ticks of 1/100 s
}

/** CPU that others used between two looks, in percent of one core. The system counts in hundredths of a second: look rarely. */
export const foreignBetween = (a: CpuSeconds, b: CpuSeconds): number =>
  Math.max(0, Math.round((100 * (b.machine - a.machine - (b.own - a.own))) / (b.at - a.at)));

export async function foreignNow(seconds = 2): Promise<number> {
  const before = cpuSeconds();
  await sleep(seconds * 1000);
  return foreignBetween(before, cpuSeconds());
}

const proc = (file: string): string => {
  try {
    return readFileSync(`/proc/${file}`, 'utf8');
  } catch {
    return ''; // not Linux, or the process ended
  }
};
/** MB of a line such as `VmHWM:   1024 kB`; undefined where there is none. */
export function megabytes(text: string, name: string): number | undefined {
  const found = new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text);
  return found ? Number(found[1]) / 1024 : undefined;
}

/** Most memory that was ever resident in this process, mapped files included. */
export const peakMegabytes = (): number =>
  Math.round(megabytes(proc('self/status'), 'VmHWM') ?? process.resourceUsage().maxRSS / 1024);
/** undefined when the process has ended, or where there is no /proc */
export const residentMegabytes = (pid: number | 'self'): number | undefined =>
  megabytes(proc(`${pid}/status`), 'VmRSS');
/** Memory of this process that no file backs: the system cannot take it away, and no other process shares it. */
export const privateMegabytes = (): number =>
  megabytes(proc('self/smaps_rollup'), 'Anonymous') ?? process.memoryUsage.rss() / 2 ** 20;
/** What can be used without swapping, page cache that can be dropped included. */
export const availableMegabytes = (): number =>
  Math.round(megabytes(proc('meminfo'), 'MemAvailable') ?? freemem() / 2 ** 20);

/** MB of these files that this process has mapped and resident: pages of the page cache, which all processes share. */
export function mappedMegabytes(files: readonly string[]): number {
  return Math.round(
    mappedKilobytes(proc('self/smaps'), new Set(files.map((file) => String(statSync(file).ino)))) / 1024,
  );
}

/** By inode, for a mapping may go by the name of another hard link. @param smaps text of /proc/PID/smaps */
export function mappedKilobytes(smaps: string, inodes: ReadonlySet<string>): number {
  let wanted = false,
    sum = 0;
  for (const line of smaps.split('\n')) {
    const mapping = /^[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ (\d+)/.exec(line);
    if (mapping) wanted = inodes.has(mapping[1]);
    // Pages that were written to are private copies; those that were only read are the file's own.
    else if (wanted && /^(Shared_Clean|Private_Clean):/.test(line)) sum += Number(/(\d+) kB/.exec(line)?.[1] ?? 0);
  }
  return sum;
}
