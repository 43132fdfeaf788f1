/**
 * The page of `diffengine ui` (index.html) and the report of a run (report.html), from the same parts. The report is one
 * file, into which ReportHook writes a run: `vite build ui --mode report`. Both go to dist/ui.
 */
import { defineConfig, type Plugin } from 'vite';
import { viteSingleFile } from 'vite-plugin-singlefile';

const LICENSES = 'licenses.md';

export default defineConfig(({ mode }) => {
  const report = mode === 'report';
  return {
    root: import.meta.dirname,
    logLevel: 'warn',
    plugins: report ? [viteSingleFile(), licensesInside()] : [],
    build: {
      target: 'es2022',
      outDir: '../dist/ui',
      emptyOutDir: !report, // files of an earlier build have other names
      modulePreload: { polyfill: false },
      license: { fileName: LICENSES },
      rollupOptions: { input: report ? 'ui/report.html' : 'ui/index.html' },
    },
  };
});

/** A report is copied on its own: the licences of what it holds go with it. */
function licensesInside(): Plugin {
  return {
    name: 'licenses-inside',
    enforce: 'post',
    generateBundle: {
      order: 'post',
      handler(_, bundle) {
        const page = bundle['report.html'],
          licenses = bundle[LICENSES];
        if (page?.type !== 'asset' || licenses?.type !== 'asset') this.error('report.html or its licences are missing');
        const comment = `<!--\n${String(licenses.source).replaceAll('--', '- -')}\n-->`;
        page.source = String(page.source).replace('</body>', () => `${comment}\n</body>`);
        delete bundle[LICENSES];
      },
    },
  };
}
