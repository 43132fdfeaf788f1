import { defineConfig } from 'diffengine';

export default defineConfig({
  default_hooks: {
    logger: { type: 'LoggerHook', interval: 10 },
    report: { type: 'ReportHook' },
  },
  backend: { type: 'OnnxRuntimeBackend' },
  randomness: { seed: 0 },
});
