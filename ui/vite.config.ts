/**
 * The page of `diffengine ui` (index.html) and the report of a run (report.html), from the same parts. The report is one
 * file, into which ReportHook writes a run: `vite build ui --mode report`. Both go to dist/ui.
 */
import { defineConfig } from 'vite';
import { viteSingleFile } from 'vite-plugin-singlefile';

export default defineConfig(({ mode }) => {
  const report = mode === 'report';
  return {
    root: import.meta.dirname,
    logLevel: 'warn',
    plugins: report ? [viteSingleFile()] : [],
    build: {
      target: 'es2022',
      outDir: '../dist/ui',
      emptyOutDir: false,
      modulePreload: { polyfill: false },
      license: { fileName: report ? 'licenses-report.md' : 'licenses.md' },
      rollupOptions: { input: report ? 'ui/report.html' : 'ui/index.html' },
    },
  };
});
