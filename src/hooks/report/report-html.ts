/** Writes a run into the page that `npm run build` made of ui/report.html. */
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import type { ReportData } from '../../runs/report-data.js';
import { escapeHtml, summaryOf } from './summary.js';

const TEMPLATE = new URL('../../../ui/report.html', import.meta.url);

/** @throws Error where the package was built without its page */
export const readTemplate = (): Promise<string> => readFile(TEMPLATE, 'utf8');

/** @param template with {{title}}, {{summary}} and {{data}} */
export function reportHtml(template: string, data: ReportData, home = homedir()): string {
  const shared = withoutHome(data, home);
  const parts: Readonly<Record<string, string>> = {
    title: escapeHtml(shared.view.name),
    summary: summaryOf(shared),
    // No "</script>" and no "<!--" can end or hide the element that it stands in.
    data: JSON.stringify(shared).replaceAll('<', '\\u003c'),
  };
  return template.replace(/\{\{(title|summary|data)\}\}/g, (_, name: string) => parts[name]);
}

/** A report is mailed: it need not say who its maker is on this machine. */
function withoutHome(data: ReportData, home: string): ReportData {
  if (home.length < 2) return data;
  const whole = new RegExp(`${home.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')}(?![\\w.-])`, 'g'); // not /home/adam for /home/ada
  const shorten = (_: string, value: unknown): unknown =>
    typeof value === 'string' && !value.startsWith('data:') ? value.replace(whole, '~') : value;
  return JSON.parse(JSON.stringify(data, shorten)) as ReportData;
}
